//! Gateways.

use mesh_types::Protocol;

use super::Checker;
use crate::api::{Gateway, ServerTls, ServerTlsMode, TlsVersion};
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn gateway(&mut self, spec: &Gateway) {
        let path = FieldPath::default().field("spec");
        for (index, server) in spec.servers.iter().enumerate() {
            let path = path.field("servers").index(index);
            let Some(port) = &server.port else {
                self.error(Code::Missing, &path.field("port"), "must be set");
                continue;
            };
            if port.number == 0 {
                self.error(Code::Missing, &path.field("port").field("number"), "must be set");
            }
            let protocol = Protocol::parse(&port.protocol);
            if protocol.is_none() {
                let message = format!("{:?} is no protocol of a gateway", port.protocol);
                self.error(Code::Invalid, &path.field("port").field("protocol"), &message);
            }
            if server.hosts.is_empty() {
                self.error(Code::Missing, &path.field("hosts"), "must be set");
            }
            if !server.bind.is_empty() {
                self.unserved(&path.field("bind"));
            }
            match &server.tls {
                Some(tls) => self.server_tls(tls, &path.field("tls")),
                None if protocol.is_some_and(Protocol::is_tls) => {
                    self.error(Code::Missing, &path.field("tls"), "must be set for HTTPS and TLS");
                }
                None => {}
            }
        }
    }

    fn server_tls(&mut self, tls: &ServerTls, path: &FieldPath) {
        let named = !tls.credential_name.is_empty() || !tls.credential_names.is_empty();
        let terminates =
            matches!(tls.mode, ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
        if terminates && !named && (tls.server_certificate.is_empty() || tls.private_key.is_empty()) {
            let message = "must be set, or serverCertificate and privateKey";
            self.error(Code::Missing, &path.field("credentialName"), message);
        }
        let mutual = matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
        if mutual && !named && tls.ca_certificates.is_empty() {
            self.error(Code::Missing, &path.field("caCertificates"), "must be set");
        }
        let unserved = [
            ("mode", tls.mode == ServerTlsMode::AutoPassthrough),
            ("caCrl", !tls.ca_crl.is_empty()),
            ("caCertCredentialName", !tls.ca_cert_credential_name.is_empty()),
            ("verifyCertificateSpki", !tls.verify_certificate_spki.is_empty()),
            ("verifyCertificateHash", !tls.verify_certificate_hash.is_empty()),
            ("cipherSuites", !tls.cipher_suites.is_empty()),
            ("tlsCertificates", !tls.tls_certificates.is_empty()),
            ("insecureSkipVerify", tls.insecure_skip_verify == Some(true)),
        ];
        unserved.iter().filter(|(_, set)| *set).for_each(|(field, _)| self.unserved(&path.field(field)));
        for (field, version) in
            [("minProtocolVersion", tls.min_protocol_version), ("maxProtocolVersion", tls.max_protocol_version)]
        {
            if matches!(version, TlsVersion::V1_0 | TlsVersion::V1_1) {
                self.error(
                    Code::Unsupported,
                    &path.field(field),
                    "is older than TLS 1.2, which is the least that is spoken",
                );
            }
        }
        if tls.min_protocol_version == TlsVersion::V1_3 && tls.max_protocol_version == TlsVersion::V1_2 {
            self.error(Code::Invalid, &path.field("minProtocolVersion"), "is above maxProtocolVersion");
        }
    }
}
