//! A small authority and a pair of ends.

use std::time::SystemTime;

use mesh_tls::{
    ClientStream, ClientTls, HandshakeError, KeyedCertificate, PeerTest, Roots, ServerName, ServerStream, ServerTls,
    Session,
};
use mesh_types::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(crate) fn identity(service_account: &str) -> Identity {
    Identity::new("cluster.local".parse().unwrap(), "default", service_account).unwrap()
}

pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::OrganizationName, name);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_pem(self.issuer.pem().as_bytes(), "test root").unwrap()
    }

    pub(crate) fn workload(&self, name: &str) -> KeyedCertificate {
        self.workload_between(name, -600, 3600)
    }

    /// Times in seconds from now.
    pub(crate) fn workload_between(&self, name: &str, from: i64, until: i64) -> KeyedCertificate {
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(SanType::URI(identity(name).to_string().try_into().unwrap()), &usages, from, until)
    }

    pub(crate) fn client_only(&self, name: &str) -> KeyedCertificate {
        let san = SanType::URI(identity(name).to_string().try_into().unwrap());
        self.issue(san, &[ExtendedKeyUsagePurpose::ClientAuth], -600, 3600)
    }

    pub(crate) fn server(&self, dns: &str) -> KeyedCertificate {
        let san = SanType::DnsName(dns.try_into().unwrap());
        self.issue(san, &[ExtendedKeyUsagePurpose::ServerAuth], -600, 3600)
    }

    fn issue(&self, san: SanType, usages: &[ExtendedKeyUsagePurpose], from: i64, until: i64) -> KeyedCertificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![san];
        params.extended_key_usages = usages.to_vec();
        params.not_before = OffsetDateTime::now_utc() + Duration::seconds(from);
        params.not_after = OffsetDateTime::now_utc() + Duration::seconds(until);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        KeyedCertificate::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes(), "test leaf").unwrap()
    }
}

type Outcome<S> = Result<(S, Session), HandshakeError>;

/// What came of a handshake on both sides.
pub(crate) struct Ends {
    pub(crate) server: Outcome<ServerStream<DuplexStream>>,
    pub(crate) client: Outcome<ClientStream<DuplexStream>>,
}

impl Ends {
    pub(crate) async fn shake(
        server: &ServerTls,
        server_test: &PeerTest,
        client: &ClientTls,
        name: ServerName<'static>,
        client_test: &PeerTest,
    ) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (server, client) = tokio::join!(server.accept(near, server_test), client.connect(far, name, client_test));
        Self { server, client }
    }

    /// Sends a byte each way, by which tickets arrive too.
    pub(crate) async fn exchange(self) {
        let (mut taken, mut opened) = (self.server.unwrap().0, self.client.unwrap().0);
        opened.write_all(b"?").await.unwrap();
        assert_eq!(taken.read_u8().await.unwrap(), b'?');
        taken.write_all(b"!").await.unwrap();
        assert_eq!(opened.read_u8().await.unwrap(), b'!');
    }
}
