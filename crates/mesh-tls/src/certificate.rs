//! What a certificate says: names, fingerprint, times.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use mesh_types::Identity;
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A peer's leaf certificate, as policies, logs and metrics see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The SPIFFE identity: there is one if exactly one URI SAN stands in the certificate (SPIFFE X.509-SVID §2) and
    /// it has Istio's form.
    pub identity: Option<Identity>,
    /// URI SANs, in order.
    pub uri_sans: Vec<String>,
    /// DNS SANs, in order.
    pub dns_sans: Vec<String>,
    /// The subject as RFC 4514 would write it; empty for most SPIFFE certificates.
    pub subject: String,
    /// SHA-256 of the whole certificate in lower-case hex, as in `x-forwarded-client-cert`.
    pub sha256: String,
    /// From when until when it counts.
    pub validity: Validity,
}

/// From when until when a certificate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub not_before: SystemTime,
    /// Last moment.
    pub not_after: SystemTime,
}

impl Validity {
    /// Time left at `now`; zero once expired.
    pub fn remaining(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }

    /// True after the last moment.
    pub fn is_over(&self, now: SystemTime) -> bool {
        now > self.not_after
    }
}

/// Reads a peer's leaf, which comes first in its chain.
///
/// # Errors
/// [`CertificateError::BadEncoding`] if the chain is empty or its leaf does not parse.
pub fn peer_certificate(chain: &[CertificateDer<'_>]) -> Result<PeerCertificate, CertificateError> {
    let leaf = chain.first().ok_or(CertificateError::BadEncoding)?;
    let certificate = parse(leaf)?;
    let mut uri_sans = Vec::new();
    let mut dns_sans = Vec::new();
    if let Some(names) = certificate.subject_alternative_name().map_err(|_| CertificateError::BadEncoding)? {
        for name in &names.value.general_names {
            match name {
                GeneralName::URI(uri) => uri_sans.push((*uri).to_owned()),
                GeneralName::DNSName(dns) => dns_sans.push((*dns).to_owned()),
                _ => {}
            }
        }
    }
    let identity = match uri_sans.as_slice() {
        [uri] => uri.parse().ok(),
        _ => None,
    };
    Ok(PeerCertificate {
        identity,
        uri_sans,
        dns_sans,
        subject: certificate.subject().to_string(),
        sha256: hex(digest::digest(&digest::SHA256, leaf).as_ref()),
        validity: times(&certificate),
    })
}

/// Reads only the times of a certificate.
///
/// # Errors
/// [`CertificateError::BadEncoding`] if it does not parse.
pub fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, CertificateError> {
    parse(certificate).map(|certificate| times(&certificate))
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::BadEncoding),
    }
}

fn times(certificate: &X509Certificate<'_>) -> Validity {
    let at = |seconds: i64| match u64::try_from(seconds) {
        Ok(seconds) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        Err(_) => SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(seconds.unsigned_abs())),
    };
    let validity = certificate.validity();
    Validity {
        not_before: at(validity.not_before.timestamp()).unwrap_or(SystemTime::UNIX_EPOCH),
        not_after: at(validity.not_after.timestamp()).unwrap_or(SystemTime::UNIX_EPOCH),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
