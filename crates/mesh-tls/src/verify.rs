//! Verification of a server's chain for clients.
//!
//! rustls's own verifier insists on a DNS name; SPIFFE certificates have none. So the chain, its times and its
//! extended key usage are checked here, and names afterwards by [`crate::PeerTest`].

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertRevocationListError, CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use webpki::{CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationOptionsBuilder};

use crate::provider::provider;
use crate::roots::Roots;
use crate::seen::Seen;

/// Checks that a server's certificate chains to the roots and is not revoked, or nothing at all without roots. That the
/// server holds the key of its certificate is checked in either case.
#[derive(Debug)]
pub(crate) struct ChainVerifier {
    roots: Option<Roots>,
    revocations: Vec<CertRevocationList<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    seen: Seen,
}

impl ChainVerifier {
    pub(crate) fn new(roots: Option<Roots>) -> Result<Self, Error> {
        let revocations = roots.as_ref().map(|roots| roots.revocations.parsed()).transpose();
        let revocations = revocations.map_err(unusable)?.unwrap_or_default();
        let algorithms = provider().signature_verification_algorithms;
        Ok(Self { roots, revocations, algorithms, seen: Seen::default() })
    }

    /// Goes through the chain once more, with the revocation lists: rustls asks them only together with a name.
    fn not_revoked(
        &self,
        roots: &Roots,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let lists: Vec<_> = self.revocations.iter().collect();
        let Ok(asked) = RevocationOptionsBuilder::new(&lists) else { return Ok(()) };
        let asked = asked.with_expiration_policy(ExpirationPolicy::Enforce).build();
        let (anchors, algorithms) = (&roots.store.roots, self.algorithms.all);
        let usage = KeyUsage::server_auth();
        let leaf = EndEntityCert::try_from(end_entity).map_err(refusal)?;
        leaf.verify_for_usage(algorithms, anchors, intermediates, now, usage, Some(asked), None).map_err(refusal)?;
        Ok(())
    }
}

/// Why a chain that is good by itself is refused, in rustls's words.
fn refusal(error: webpki::Error) -> Error {
    match error {
        webpki::Error::CertRevoked => CertificateError::Revoked.into(),
        webpki::Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus.into(),
        webpki::Error::CrlExpired { time, next_update } => {
            CertificateError::ExpiredRevocationListContext { time, next_update }.into()
        }
        webpki::Error::IssuerNotCrlSigner => CertRevocationListError::IssuerInvalidForCrl.into(),
        webpki::Error::InvalidCrlSignatureForPublicKey => CertRevocationListError::BadSignature.into(),
        other => unusable(other),
    }
}

fn unusable(error: webpki::Error) -> Error {
    CertRevocationListError::Other(OtherError(Arc::new(error))).into()
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            self.seen.verify(end_entity, intermediates, now, || {
                let leaf = ParsedCertificate::try_from(end_entity)?;
                let algorithms = self.algorithms.all;
                verify_server_cert_signed_by_trust_anchor(&leaf, &roots.store, intermediates, now, algorithms)?;
                self.not_revoked(roots, end_entity, intermediates, now)
            })?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
