//! `Gateway`: what a proxy at the edge listens for.

use std::collections::BTreeMap;

use crate::api::common::{Meaningless, Unserved};
use crate::read::{object, words};

object! {
    /// Servers of the proxies that carry some labels.
    pub struct Gateway {
        /// What they listen for.
        servers: Vec<Server> = "servers",
        /// Labels of the gateway's pods.
        selector: BTreeMap<String, String> = "selector",
    }
}

object! {
    /// One port and the hosts on it.
    pub struct Server {
        /// Where it listens.
        port: Option<GatewayPort> = "port",
        /// Address to listen on; empty means all.
        bind: String = "bind",
        /// `[namespace/]host`; a namespace limits which VirtualServices may bind (`.`: the gateway's, `*`: all).
        hosts: Vec<String> = "hosts" where { "minItems": 1 },
        /// For HTTPS and TLS, and for a redirect from HTTP.
        tls: Option<ServerTls> = "tls",
        /// Hidden in Istio, never served.
        default_endpoint: Option<Unserved> = "defaultEndpoint",
        /// For messages.
        name: String = "name",
    }
    where { "required": ["port", "hosts"] }
}

object! {
    /// A port of a gateway.
    #[derive(Eq)]
    pub struct GatewayPort {
        /// 1 to 65535.
        number: u16 = "number" where { "minimum": 1 },
        /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `TCP`, `TLS`, `MONGO`…; see `mesh_types::Protocol::parse`.
        protocol: String = "protocol",
        /// Unique among HTTPS ports of one gateway.
        name: String = "name",
        /// Ignored by Istio (deprecated).
        target_port: Option<Meaningless> = "targetPort",
    }
    where { "required": ["number", "protocol", "name"] }
}

object! {
    /// TLS of a server.
    #[derive(Eq)]
    pub struct ServerTls {
        /// Answer 301 to HTTPS on a plain-text port.
        https_redirect: bool = "httpsRedirect",
        /// Kind of TLS.
        mode: ServerTlsMode = "mode",
        /// File of the certificate chain.
        server_certificate: String = "serverCertificate",
        /// File of the key.
        private_key: String = "privateKey",
        /// File of the roots for clients (`MUTUAL`).
        ca_certificates: String = "caCertificates",
        /// File of revocation lists for the certificates of clients, where `caCertificates` has the roots. Read anew when
        /// it changes.
        ca_crl: String = "caCrl",
        /// Secret in the namespace of the gateway's pods.
        credential_name: String = "credentialName",
        /// Up to two of them, of different key types.
        credential_names: Vec<String> = "credentialNames" where { "minItems": 1, "maxItems": 2 },
        /// Secret or ConfigMap of the roots for clients.
        ca_cert_credential_name: String = "caCertCredentialName",
        /// Names that a client's certificate may have.
        subject_alt_names: Vec<String> = "subjectAltNames",
        /// Hashes of public keys that a client may have.
        verify_certificate_spki: Vec<String> = "verifyCertificateSpki",
        /// Hashes of certificates that a client may have.
        verify_certificate_hash: Vec<String> = "verifyCertificateHash",
        /// Absent means TLS 1.2.
        min_protocol_version: TlsVersion = "minProtocolVersion",
        /// Absent means TLS 1.3.
        max_protocol_version: TlsVersion = "maxProtocolVersion",
        /// For TLS 1.2, in OpenSSL's names.
        cipher_suites: Vec<String> = "cipherSuites",
        /// Files of several certificates.
        tls_certificates: Vec<TlsCertificate> = "tlsCertificates" where { "minItems": 1, "maxItems": 2 },
        /// Do not verify clients' certificates.
        insecure_skip_verify: Option<bool> = "insecureSkipVerify",
    }
}

words! {
    /// Kinds of TLS of a server.
    pub enum ServerTlsMode {
        /// Not terminated; routed by server name.
        Passthrough = "PASSTHROUGH",
        /// Terminated with our certificate.
        Simple = "SIMPLE",
        /// And the client shows one.
        Mutual = "MUTUAL",
        /// Routed by server name to the mesh's clusters, between networks.
        AutoPassthrough = "AUTO_PASSTHROUGH",
        /// With the mesh's certificates.
        IstioMutual = "ISTIO_MUTUAL",
        /// The client may show a certificate.
        OptionalMutual = "OPTIONAL_MUTUAL",
    }
}

words! {
    /// Versions of TLS.
    pub enum TlsVersion {
        /// The default at its place.
        Auto = "TLS_AUTO",
        /// 1.0.
        V1_0 = "TLSV1_0",
        /// 1.1.
        V1_1 = "TLSV1_1",
        /// 1.2.
        V1_2 = "TLSV1_2",
        /// 1.3.
        V1_3 = "TLSV1_3",
    }
}

object! {
    /// Files of one certificate.
    #[derive(Eq)]
    pub struct TlsCertificate {
        /// File of the chain.
        server_certificate: String = "serverCertificate",
        /// File of the key.
        private_key: String = "privateKey",
        /// File of the roots for clients.
        ca_certificates: String = "caCertificates",
    }
}
