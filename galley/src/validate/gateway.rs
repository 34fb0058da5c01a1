//! Gateways.

use std::collections::BTreeSet;

use mesh_types::Protocol;

use super::Checker;
use crate::api::{Gateway, ServerTls, ServerTlsMode, TlsVersion};
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn gateway(&mut self, spec: &Gateway) {
        let path = FieldPath::default().field("spec");
        let mut names = BTreeSet::new();
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
            if protocol == Some(Protocol::Udp) {
                self.unserved(&path.field("port").field("protocol"));
            }
            if !port.name.is_empty() && !names.insert(&port.name) {
                let message = format!("{:?} is the name of another server's port", port.name);
                self.error(Code::Invalid, &path.field("port").field("name"), &message);
            }
            if server.hosts.is_empty() {
                self.error(Code::Missing, &path.field("hosts"), "must be set");
            }
            for (index, host) in server.hosts.iter().enumerate() {
                // Before the slash stands a namespace.
                let name = host.split_once('/').map_or(host.as_str(), |(_, name)| name);
                self.host_name(name, &path.field("hosts").index(index));
            }
            if !server.bind.is_empty() {
                self.unserved(&path.field("bind"));
            }
            match &server.tls {
                Some(tls) if protocol.is_some_and(Protocol::is_http) => self.plain_tls(tls, &path.field("tls")),
                Some(tls) => self.server_tls(tls, &path.field("tls")),
                None if protocol.is_some_and(Protocol::is_tls) => {
                    self.error(Code::Missing, &path.field("tls"), "must be set for HTTPS and TLS");
                }
                None => {}
            }
        }
    }

    /// On a server of plain HTTP, TLS can only be redirected to.
    fn plain_tls(&mut self, tls: &ServerTls, path: &FieldPath) {
        let redirect = ServerTls { https_redirect: tls.https_redirect, ..ServerTls::default() };
        if *tls != redirect {
            let message = "can only have httpsRedirect where the protocol is HTTP; HTTPS has the rest";
            self.error(Code::Invalid, path, message);
        }
    }

    /// A secret by its name. Istio's other sources of certificates are not served.
    pub(super) fn credential(&mut self, name: &str, path: &FieldPath) {
        let plain = name.strip_prefix("kubernetes://").unwrap_or(name);
        if plain.contains([':', '/']) {
            let message = format!("{name:?} is not supported; it must be a secret's name, perhaps after kubernetes://");
            self.error(Code::Unsupported, path, &message);
        }
    }

    fn server_tls(&mut self, tls: &ServerTls, path: &FieldPath) {
        if tls.https_redirect {
            self.error(Code::Invalid, &path.field("httpsRedirect"), "is for servers whose protocol is HTTP");
        }
        if !tls.credential_name.is_empty() && !tls.credential_names.is_empty() {
            self.error(Code::Invalid, &path.field("credentialNames"), "must not be set with credentialName");
        }
        if tls.credential_names.len() > 2 {
            self.error(Code::Invalid, &path.field("credentialNames"), "must be at most two");
        }
        self.credential(&tls.credential_name, &path.field("credentialName"));
        for (index, name) in tls.credential_names.iter().enumerate() {
            self.credential(name, &path.field("credentialNames").index(index));
        }
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
        if !tls.ca_crl.is_empty() {
            self.server_crl(tls, named, &path.field("caCrl"));
        }
        if tls.mode == ServerTlsMode::AutoPassthrough {
            self.unserved_word(&path.field("mode"), "AUTO_PASSTHROUGH");
        }
        let unserved = [
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

    /// Istio's rules of `caCrl`: it is for servers that ask for certificates and have their roots from a file.
    fn server_crl(&mut self, tls: &ServerTls, named: bool, path: &FieldPath) {
        if named {
            let message = "cannot be set together with credentialName; put the list into that secret as ca.crl";
            self.error(Code::Invalid, path, message);
        } else if matches!(tls.mode, ServerTlsMode::Simple | ServerTlsMode::Passthrough) {
            self.error(Code::Invalid, path, "does nothing in a mode that asks clients for no certificate");
        }
    }
}
