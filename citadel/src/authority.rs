//! Signing.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use mesh_types::Identity;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

/// No certificate is good for longer (Istio's default for workloads).
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A certificate counts from so long ago: clocks differ.
const SKEW: Duration = Duration::from_secs(120);

/// What a certificate is for.
#[derive(Clone, Debug)]
pub enum Names {
    /// A workload.
    Workload(Identity),
    /// A server that is reached under these names, such as the control plane itself.
    Server(Vec<String>, Vec<IpAddr>),
}

/// The authority: its certificates and its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Last moment of the signing certificate.
    ends: SystemTime,
    certificate_pem: String,
    chain_pem: String,
    root_pem: String,
    crl_pem: Option<String>,
}

/// Why nothing was signed, or no authority could be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(String, #[source] std::io::Error),
    /// The files do not make an authority.
    #[error("{0}: {1}")]
    Unusable(String, String),
    /// The request is not one.
    #[error("the certificate request {0}")]
    Request(&'static str),
    /// The signing itself failed.
    #[error("signing: {0}")]
    Signing(#[from] rcgen::Error),
    /// The signing certificate has run out.
    #[error("the signing certificate has expired")]
    Expired,
}

impl Authority {
    /// An authority from PEM: the signing certificate, its key, the certificates between it and the root (may be empty),
    /// and the roots.
    ///
    /// # Errors
    /// If they do not parse or do not fit together.
    pub fn from_pem(
        certificate: &str,
        key: &str,
        chain: &str,
        roots: &str,
        what: &str,
    ) -> Result<Self, AuthorityError> {
        let unusable = |reason: &str| AuthorityError::Unusable(what.to_owned(), reason.to_owned());
        let key = KeyPair::from_pem(key).map_err(|error| unusable(&format!("the key: {error}")))?;
        let der =
            x509_parser::pem::parse_x509_pem(certificate.as_bytes()).map_err(|_| unusable("holds no certificate"))?;
        let (_, parsed) = X509Certificate::from_der(&der.1.contents).map_err(|_| unusable("holds no certificate"))?;
        if !parsed.is_ca() {
            return Err(unusable("is no certificate of an authority (basic constraints)"));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(unusable("the key does not belong to the certificate"));
        }
        if !roots.contains("BEGIN CERTIFICATE") {
            return Err(unusable("there is no root certificate"));
        }
        let ends = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or_default();
        let issuer = Issuer::from_ca_cert_pem(certificate, key)?;
        let is_root = parsed.subject() == parsed.issuer();
        let chain_pem = if is_root { String::new() } else { format!("{certificate}\n{chain}") };
        Ok(Self {
            issuer,
            ends: SystemTime::UNIX_EPOCH + Duration::from_secs(ends),
            certificate_pem: certificate.to_owned(),
            chain_pem,
            root_pem: roots.to_owned(),
            crl_pem: None,
        })
    }

    /// The same, with further roots for peers to believe in.
    #[must_use]
    pub(crate) fn with_roots(mut self, roots: String) -> Self {
        self.root_pem = roots;
        self
    }

    /// The same, with revocation lists for peers to heed. `what` names their source.
    ///
    /// # Errors
    /// If peers could not read them.
    pub(crate) fn revoking(self, crl: String, what: &str) -> Result<Self, AuthorityError> {
        let read = mesh_tls::Revocations::from_pem(crl.as_bytes(), "the bundle");
        read.map_err(|error| AuthorityError::Unusable(what.to_owned(), error.to_string()))?;
        Ok(Self { crl_pem: Some(crl), ..self })
    }

    /// The certificate that signs, in PEM.
    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The roots in PEM, as peers need them.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The revocation lists in PEM, if there are any.
    pub fn crl_pem(&self) -> Option<&str> {
        self.crl_pem.as_deref()
    }

    /// Signs the key of a certificate request (PKCS #10 in PEM), after its own signature was checked, for `names` alone.
    /// The result is the leaf with what lies between it and the root, in PEM.
    ///
    /// # Errors
    /// If the request is not one, or signing fails.
    pub fn sign(&self, csr_pem: &str, names: &Names, lifetime: Duration) -> Result<String, AuthorityError> {
        let spki = crate::request::public_key(csr_pem).map_err(AuthorityError::Request)?;
        let key = SubjectPublicKeyInfo::from_der(&spki)
            .map_err(|_| AuthorityError::Request("has a key of an unknown kind"))?;
        self.certify(&key, names, lifetime)
    }

    /// A new key with its certificate, for the process itself: certificate chain and key in PEM.
    ///
    /// # Errors
    /// If signing fails.
    pub fn issue(&self, names: &Names, lifetime: Duration) -> Result<(String, String), AuthorityError> {
        let key = KeyPair::generate()?;
        Ok((self.certify(&key, names, lifetime)?, key.serialize_pem()))
    }

    fn certify(&self, key: &impl PublicKeyData, names: &Names, lifetime: Duration) -> Result<String, AuthorityError> {
        let now = SystemTime::now();
        let until = (now + lifetime.min(LONGEST)).min(self.ends);
        if until <= now {
            return Err(AuthorityError::Expired);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = OffsetDateTime::from(now - SKEW);
        params.not_after = OffsetDateTime::from(until);
        params.subject_alt_names = sans(names)?;
        let leaf = params.signed_by(key, &self.issuer)?;
        Ok(format!("{}{}", leaf.pem(), self.chain_pem))
    }
}

fn sans(names: &Names) -> Result<Vec<SanType>, AuthorityError> {
    Ok(match names {
        Names::Workload(identity) => vec![SanType::URI(identity.to_string().try_into()?)],
        Names::Server(hosts, addresses) => {
            let hosts = hosts.iter().map(|host| host.as_str().try_into().map(SanType::DnsName));
            let addresses = addresses.iter().map(|address| Ok(SanType::IpAddress(*address)));
            hosts.chain(addresses).collect::<Result<_, rcgen::Error>>()?
        }
    })
}
