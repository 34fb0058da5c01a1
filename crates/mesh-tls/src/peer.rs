//! Who a peer must be, once the chain of its certificate is known to be good.

use std::fmt;
use std::sync::Arc;

use mesh_types::Identity;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

use crate::certificate::PeerCertificate;
use crate::error::HandshakeError;

/// A test of a peer's names by the caller's own rules.
pub type SanTest = Arc<dyn Fn(&PeerCertificate) -> bool + Send + Sync>;

/// Who a peer must be. Cheap to clone.
#[derive(Clone, Default)]
pub enum PeerTest {
    /// Whoever has a good chain.
    #[default]
    Any,
    /// One of these SPIFFE identities (Istio's secure naming). DNS names are not looked at. An empty list is met by
    /// nobody.
    Identities(Arc<[Identity]>),
    /// The certificate is for this DNS name or IP address (RFC 6125; SANs only).
    Name(ServerName<'static>),
    /// The names pass a test of the caller, which is described by the text for error messages.
    Sans(SanTest, Arc<str>),
}

impl PeerTest {
    /// # Errors
    /// [`HandshakeError::WrongPeer`] with the names found and those expected.
    pub(crate) fn check(&self, leaf: &CertificateDer<'_>, peer: &PeerCertificate) -> Result<(), HandshakeError> {
        let passes = match self {
            Self::Any => true,
            Self::Identities(expected) => peer.identity.as_ref().is_some_and(|found| expected.contains(found)),
            Self::Name(name) => {
                ParsedCertificate::try_from(leaf).and_then(|certificate| verify_server_name(&certificate, name)).is_ok()
            }
            Self::Sans(test, _) => test(peer),
        };
        if passes {
            return Ok(());
        }
        Err(HandshakeError::WrongPeer { found: names(peer), expected: self.to_string() })
    }
}

impl fmt::Display for PeerTest {
    /// At most four identities are spelt out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anybody"),
            Self::Identities(expected) => {
                let shown: Vec<_> = expected.iter().take(4).map(ToString::to_string).collect();
                f.write_str(&shown.join(" or "))?;
                match expected.len() {
                    0 => f.write_str("nobody (the list of identities is empty)"),
                    1..=4 => Ok(()),
                    more => write!(f, " or one of {} others", more - 4),
                }
            }
            Self::Name(name) => f.write_str(&name.to_str()),
            Self::Sans(_, described) => f.write_str(described),
        }
    }
}

impl fmt::Debug for PeerTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerTest({self})")
    }
}

fn names(peer: &PeerCertificate) -> String {
    let names: Vec<_> = peer.uri_sans.iter().chain(&peer.dns_sans).take(8).map(String::as_str).collect();
    if names.is_empty() { "a certificate without names".to_owned() } else { names.join(", ") }
}
