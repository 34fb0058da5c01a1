//! A small authority and a pair of ends.

use std::time::SystemTime;

use mesh_tls::{
    ClientTls, HandshakeError, KeyedCertificate, PeerTest, Roots, ServerName, ServerTls, Session, TlsStream,
};
use mesh_types::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SanType,
};
use rustls::pki_types::CertificateDer;
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
    /// Of an intermediate authority its own certificate, which its leaves bring with them.
    chain: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(Self::params(name), KeyPair::generate().unwrap()).unwrap();
        Self { issuer, chain: String::new() }
    }

    /// An authority whose certificate is of this one.
    pub(crate) fn intermediate(&self, name: &str, serial: u64) -> Self {
        let mut params = Self::params(name);
        params.serial_number = Some(serial.into());
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.issuer).unwrap();
        let chain = issuer.pem();
        Self { issuer, chain }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::OrganizationName, name);
        params
    }

    /// A list of the revoked, from an hour ago until so many seconds from now, in PEM.
    pub(crate) fn revokes(&self, serials: &[u64], until: i64) -> String {
        self.revokes_since(serials, -3600, until)
    }

    /// Times in seconds from now.
    pub(crate) fn revokes_since(&self, serials: &[u64], from: i64, until: i64) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: OffsetDateTime::now_utc() + Duration::seconds(from),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: OffsetDateTime::now_utc() + Duration::seconds(from),
            next_update: OffsetDateTime::now_utc() + Duration::seconds(until),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
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

    pub(crate) fn numbered(&self, name: &str, serial: u64) -> KeyedCertificate {
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial.into());
        let san = SanType::URI(identity(name).to_string().try_into().unwrap());
        self.sign(params, san, &[], -600, 3600)
    }

    pub(crate) fn client_only(&self, name: &str) -> KeyedCertificate {
        let san = SanType::URI(identity(name).to_string().try_into().unwrap());
        self.issue(san, &[ExtendedKeyUsagePurpose::ClientAuth], -600, 3600)
    }

    pub(crate) fn server(&self, dns: &str) -> KeyedCertificate {
        let san = SanType::DnsName(dns.try_into().unwrap());
        self.issue(san, &[ExtendedKeyUsagePurpose::ServerAuth], -600, 3600)
    }

    /// The same as chain and key in PEM.
    pub(crate) fn server_pem(&self, dns: &str) -> (String, String) {
        let san = SanType::DnsName(dns.try_into().unwrap());
        self.sign_pem(CertificateParams::default(), san, &[ExtendedKeyUsagePurpose::ServerAuth], -600, 3600)
    }

    fn issue(&self, san: SanType, usages: &[ExtendedKeyUsagePurpose], from: i64, until: i64) -> KeyedCertificate {
        self.sign(CertificateParams::default(), san, usages, from, until)
    }

    fn sign(
        &self,
        params: CertificateParams,
        san: SanType,
        usages: &[ExtendedKeyUsagePurpose],
        from: i64,
        until: i64,
    ) -> KeyedCertificate {
        let (chain, key) = self.sign_pem(params, san, usages, from, until);
        KeyedCertificate::from_pem(chain.as_bytes(), key.as_bytes(), "test leaf").unwrap()
    }

    fn sign_pem(
        &self,
        mut params: CertificateParams,
        san: SanType,
        usages: &[ExtendedKeyUsagePurpose],
        from: i64,
        until: i64,
    ) -> (String, String) {
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![san];
        params.extended_key_usages = usages.to_vec();
        params.not_before = OffsetDateTime::now_utc() + Duration::seconds(from);
        params.not_after = OffsetDateTime::now_utc() + Duration::seconds(until);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem() + &self.chain, key.serialize_pem())
    }
}

type Outcome<S> = Result<(S, Session), HandshakeError>;

/// What came of a handshake on both sides.
pub(crate) struct Ends {
    pub(crate) server: Outcome<TlsStream<DuplexStream>>,
    pub(crate) client: Outcome<TlsStream<DuplexStream>>,
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
        opened.flush().await.unwrap();
        assert_eq!(taken.read_u8().await.unwrap(), b'?');
        taken.write_all(b"!").await.unwrap();
        taken.flush().await.unwrap();
        assert_eq!(opened.read_u8().await.unwrap(), b'!');
    }
}
