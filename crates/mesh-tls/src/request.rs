//! Asking for a certificate: a key that is made here and stays here, and a request signed with it.

use mesh_types::Identity;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType, string::Ia5String};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::error::{PemError, TlsError};
use crate::keys::{KeyedCertificate, certificates};

/// A new P-256 key and the request (PKCS #10) for a certificate of it. The key never leaves the process.
pub struct CertificateRequest {
    key: KeyPair,
    pem: String,
}

impl CertificateRequest {
    /// Makes a key and signs a request that names `identity` as its only URI SAN and no subject, as Istio's agent does.
    ///
    /// # Errors
    /// If the key cannot be made.
    pub fn new(identity: &Identity) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(identity.to_string())?)];
        let pem = params.serialize_request(&key)?.pem()?;
        Ok(Self { key, pem })
    }

    /// The request in PEM, for the certificate authority.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key in PEM (PKCS #8), for those parts of this process that take keys as SDS carries them.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Joins the key with the chain that the authority answered.
    ///
    /// # Errors
    /// If the chain does not parse or is not for our key. `what` names the authority.
    pub fn complete(self, chain_pem: &[u8], what: &str) -> Result<KeyedCertificate, PemError> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        KeyedCertificate::new(certificates(chain_pem, what)?, key, what)
    }
}

impl std::fmt::Debug for CertificateRequest {
    /// Never prints a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateRequest").finish_non_exhaustive()
    }
}
