//! What a handshake settled.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::{CommonState, HandshakeKind, ProtocolVersion, SupportedProtocolVersion, version};

use crate::certificate::PeerCertificate;
use crate::error::{HandshakeError, TlsError};
use crate::leaves;
use crate::peer::PeerTest;

/// Which versions of TLS may be spoken. The default is 1.2 and 1.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Versions {
    /// TLS 1.2 and 1.3.
    #[default]
    Both,
    /// TLS 1.3 alone.
    Tls13Only,
    /// TLS 1.2 alone.
    Tls12Only,
}

impl Versions {
    /// From the two bounds as configuration writes them.
    ///
    /// # Errors
    /// [`TlsError::NoVersion`] if both are set.
    pub fn from_bounds(tls13_only: bool, tls12_only: bool) -> Result<Self, TlsError> {
        match (tls13_only, tls12_only) {
            (false, false) => Ok(Self::Both),
            (true, false) => Ok(Self::Tls13Only),
            (false, true) => Ok(Self::Tls12Only),
            (true, true) => Err(TlsError::NoVersion),
        }
    }

    pub(crate) fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
        match self {
            Self::Both => &BOTH,
            Self::Tls13Only => &BOTH[..1],
            Self::Tls12Only => &BOTH[1..],
        }
    }
}

/// What a handshake settled.
#[derive(Clone, Debug)]
pub struct Session {
    /// The peer's certificate, if it gave one; its chain, names and times were checked.
    pub peer: Option<Arc<PeerCertificate>>,
    /// Negotiated protocol.
    pub alpn: Option<Vec<u8>>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The server name of the ClientHello, lower case. Only on the server's side.
    pub server_name: Option<Box<str>>,
    /// The session was resumed from an earlier one.
    pub resumed: bool,
}

impl Session {
    /// Reads a finished handshake, and refuses a peer that fails `test` or whose certificate has expired. Both matter
    /// for resumed sessions above all: there the verifiers of the configuration are not asked again.
    pub(crate) fn settle(state: &CommonState, test: &PeerTest) -> Result<Self, HandshakeError> {
        let peer = match state.peer_certificates() {
            Some(chain) if !chain.is_empty() => {
                let peer = leaves::leaf(chain).map_err(HandshakeError::Certificate)?;
                if peer.validity.is_over(SystemTime::now()) {
                    return Err(HandshakeError::Expired);
                }
                test.check(&chain[0], &peer)?;
                Some(peer)
            }
            _ => None,
        };
        Ok(Self {
            peer,
            alpn: state.alpn_protocol().map(<[u8]>::to_vec),
            version: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            server_name: None,
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}
