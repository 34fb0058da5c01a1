//! What a certificate says: names, fingerprint, times.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use mesh_types::Identity;
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::subject;

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
    /// The subject as RFC 4514 writes it, in ASCII; empty for most SPIFFE certificates.
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

impl PeerCertificate {
    /// One that says nothing but this URI, for callers that are imagined.
    pub fn naming(uri: &str) -> Self {
        Self {
            identity: uri.parse().ok(),
            uri_sans: vec![uri.to_owned()],
            dns_sans: Vec::new(),
            subject: String::new(),
            sha256: String::new(),
            validity: Validity { not_before: SystemTime::UNIX_EPOCH, not_after: SystemTime::UNIX_EPOCH },
        }
    }
}

/// Reads a peer's leaf, which comes first in its chain.
///
/// # Errors
/// [`CertificateError::BadEncoding`] if the chain is empty, its leaf does not parse, or a URI in it is not of visible ASCII
/// (RFC 5280 §4.2.1.6): identities are written into fields of requests and into logs.
pub fn peer_certificate(chain: &[CertificateDer<'_>]) -> Result<PeerCertificate, CertificateError> {
    let leaf = chain.first().ok_or(CertificateError::BadEncoding)?;
    let certificate = parse(leaf)?;
    let mut uri_sans = Vec::new();
    let mut dns_sans = Vec::new();
    if let Some(names) = certificate.subject_alternative_name().map_err(|_| CertificateError::BadEncoding)? {
        for name in &names.value.general_names {
            match name {
                GeneralName::URI(uri) if is_visible(uri) => uri_sans.push((*uri).to_owned()),
                GeneralName::URI(_) => return Err(CertificateError::BadEncoding),
                // Others are no host's, and some authorities write them.
                GeneralName::DNSName(dns) if is_visible(dns) => dns_sans.push((*dns).to_owned()),
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
        subject: subject::text(certificate.subject()),
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

fn is_visible(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_graphic())
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

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    #[test]
    fn names_that_could_break_a_line_are_refused() {
        let read = |uri: &str, dns: &str| {
            let mut params = CertificateParams::default();
            params.subject_alt_names =
                vec![SanType::URI(uri.try_into().unwrap()), SanType::DnsName(dns.try_into().unwrap())];
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            peer_certificate(std::slice::from_ref(certificate.der())).map(|peer| (peer.uri_sans, peer.dns_sans))
        };
        let plain = "spiffe://cluster.local/ns/a/sa/b";
        assert_eq!(read(plain, "a.b").unwrap(), (vec![plain.to_owned()], vec!["a.b".to_owned()]));
        for odd in ["\r\nx-admin: yes", " ", "\0", "\x7f"] {
            assert!(read(&format!("{plain}{odd}"), "a.b").is_err(), "{}", odd.escape_debug());
            assert_eq!(read(plain, &format!("My Server{odd}")).unwrap().1, [""; 0], "no host has that name");
        }
    }
}
