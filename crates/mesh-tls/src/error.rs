//! What can go wrong, in words for the person who has to mend it.

use std::io;

use rustls::pki_types::pem;
use rustls::{AlertDescription, CertRevocationListError, CertificateError};

/// PEM that is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct PemError {
    /// Which file, resource or message it came from.
    pub what: String,
    /// What is wrong with it.
    pub problem: PemProblem,
}

/// What is wrong with a piece of PEM.
#[derive(Debug, thiserror::Error)]
pub enum PemProblem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Its frame or base64 is broken.
    #[error("is not valid PEM: {0}")]
    Malformed(pem::Error),
    /// No certificate.
    #[error("holds no certificate (no `-----BEGIN CERTIFICATE-----`)")]
    NoCertificate,
    /// No key that we read.
    #[error("holds no private key in clear (PKCS #8, PKCS #1 or SEC 1)")]
    NoKey,
    /// No revocation list.
    #[error("holds no revocation list (no `-----BEGIN X509 CRL-----`)")]
    NoRevocationList,
    /// A revocation list where only roots belong.
    #[error("holds a revocation list beside the roots; put it into a file or key of its own (`caCrl`, `ca.crl`)")]
    MisplacedRevocationList,
    /// A revocation list does not parse.
    #[error("revocation list {index} of it is not one of RFC 5280's version 2 that says when the next comes: {reason}")]
    BadRevocationList {
        /// Counted from 1.
        index: usize,
        /// The parser's words.
        reason: String,
    },
    /// Two issuers of one name.
    #[error("two revocation lists are of issuers that have one name and two keys; keep one of them")]
    SharedName,
    /// More than is read.
    #[error("is longer than {most} bytes, which is the most that is read")]
    TooLong {
        /// In bytes.
        most: usize,
    },
    /// A certificate does not parse.
    #[error("certificate {index} of it does not parse: {reason}")]
    BadCertificate {
        /// Counted from 1.
        index: usize,
        /// The parser's words.
        reason: String,
    },
    /// The key is of a kind that we cannot use.
    #[error("holds a private key that cannot be used: {0}")]
    BadKey(rustls::Error),
    /// Key and certificate are not a pair.
    #[error("the private key does not belong to the first certificate of the chain")]
    KeyMismatch,
}

impl PemError {
    pub(crate) fn new(what: &str, problem: PemProblem) -> Self {
        Self { what: what.to_owned(), problem }
    }
}

/// A configuration cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// rustls does not take it.
    #[error("TLS configuration: {0}")]
    Config(#[from] rustls::Error),
    /// A root is not usable for client authentication.
    #[error("roots for client certificates: {0}")]
    ClientRoots(#[from] rustls::server::VerifierBuilderError),
    /// Neither TLS 1.2 nor 1.3 is left.
    #[error("no TLS version is allowed: the least is above the greatest")]
    NoVersion,
    /// A server without certificates.
    #[error("a TLS server needs at least one certificate")]
    NoCertificate,
    /// A key cannot be made or a request not be signed.
    #[error("key or certificate request: {0}")]
    Request(#[from] rcgen::Error),
}

/// A handshake that gave no connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection broke.
    #[error("connection lost in the TLS handshake: {0}")]
    Io(#[source] io::Error),
    /// The peer's certificate was refused by us.
    #[error("peer certificate refused: {}", refusal(.0))]
    Certificate(CertificateError),
    /// The revocation list that answers for the peer's certificate is not to be believed.
    #[error("peer certificate refused: the revocation list of its issuer is not good: {0:?}")]
    RevocationList(CertRevocationListError),
    /// The peer refused us.
    #[error("peer refused the TLS handshake: {0:?}")]
    Refused(AlertDescription),
    /// The peer does not speak TLS that we speak.
    #[error("TLS handshake: {0}")]
    Protocol(rustls::Error),
    /// The chain is good, but it is not whom we expect.
    #[error("peer is {found}, expected {expected}")]
    WrongPeer {
        /// Names of the peer's certificate.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// A resumed session of a peer whose certificate has expired since.
    #[error("peer certificate refused: expired since its session began")]
    Expired,
}

impl From<rustls::Error> for HandshakeError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(reason) => Self::Certificate(reason),
            rustls::Error::InvalidCertRevocationList(reason) => Self::RevocationList(reason),
            rustls::Error::AlertReceived(alert) => Self::Refused(alert),
            other => Self::Protocol(other),
        }
    }
}

impl HandshakeError {
    /// True if the peer's certificate or identity was at fault, rather than the connection.
    pub fn is_identity(&self) -> bool {
        matches!(self, Self::Certificate(_) | Self::RevocationList(_) | Self::WrongPeer { .. } | Self::Expired)
    }
}

fn refusal(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer => "it is not signed by any root that we trust".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("it has expired ({reason})")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("it is not valid yet: compare the clocks ({reason})")
        }
        CertificateError::Revoked => "it is revoked, or an issuer of it is".to_owned(),
        CertificateError::UnknownRevocationStatus => {
            "of its issuer, or of an issuer above, there is no revocation list; with any list, each needs one"
                .to_owned()
        }
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            format!("the revocation list of its issuer has expired; a newer one is needed ({reason})")
        }
        other => other.to_string(),
    }
}
