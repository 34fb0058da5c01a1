//! What can go wrong, in words for the person who has to mend it.

use std::io;

use rustls::pki_types::pem;
use rustls::{AlertDescription, CertificateError};

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

impl HandshakeError {
    /// Sorts what tokio-rustls reports.
    pub(crate) fn from_io(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidCertificate(reason)) => Self::Certificate(reason.clone()),
            Some(rustls::Error::AlertReceived(alert)) => Self::Refused(*alert),
            Some(other) => Self::Protocol(other.clone()),
            None => Self::Io(error),
        }
    }

    /// True if the peer's certificate or identity was at fault, rather than the connection.
    pub fn is_identity(&self) -> bool {
        matches!(self, Self::Certificate(_) | Self::WrongPeer { .. } | Self::Expired)
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
        other => other.to_string(),
    }
}
