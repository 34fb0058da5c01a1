//! What is known of an accepted connection, decided once and then only read.

use std::cell::{OnceCell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_tls::PeerCertificate;
use mesh_types::{Identity, Name};

use crate::model::ListenerKind;
use crate::record::{LastSeries, PeerWorkload};

/// An accepted connection, as policies, logs and metrics see it.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// Which side of the workload it is on.
    pub kind: ListenerKind,
    /// The listener that took it.
    pub listener: Name,
    /// The peer's address, or the one that a PROXY header names.
    pub peer: SocketAddr,
    /// Set if a PROXY header did.
    pub announced: Option<Box<Announced>>,
    /// Our address on this connection.
    pub local: SocketAddr,
    /// Where the peer meant to go: the address before redirection, or `local` if there was none.
    pub destination: SocketAddr,
    /// The server name of a ClientHello, terminated by us or not; lower case.
    pub sni: Option<Box<str>>,
    /// Set if we terminated TLS.
    pub tls: Option<PeerTls>,
    /// Whether an AUDIT policy for connections matched, if there are any.
    pub audited: Option<bool>,
    /// What the peer's proxy told of its workload, with its first request over mutual TLS.
    pub peer_workload: OnceCell<Arc<PeerWorkload>>,
    /// What was worked out for its earlier requests.
    pub memo: Memo,
}

/// A connection about which a PROXY header told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Who sent the header: whose address the connection itself has.
    pub by: SocketAddr,
    /// Where the caller went, by the header.
    pub to: SocketAddr,
}

/// What is the same for most requests of a connection.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    /// The element of `x-forwarded-client-cert` that tells of the peer.
    pub(crate) client_certificate: OnceCell<Box<str>>,
    /// The peer's address in text.
    pub(crate) peer_ip: OnceCell<Box<str>>,
    /// Where the last request was counted.
    pub(crate) series: RefCell<Option<LastSeries>>,
}

/// The TLS session that we terminated.
#[derive(Clone, Debug, Default)]
pub struct PeerTls {
    /// The peer's verified certificate, if it showed one.
    pub peer: Option<Arc<PeerCertificate>>,
    /// Negotiated protocol.
    pub alpn: Option<Box<str>>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
}

impl PeerTls {
    /// A session with a caller that is imagined, whose certificate names this URI.
    pub fn with_peer(uri: &str) -> Self {
        Self { peer: Some(PeerCertificate::naming(uri).into()), ..Self::default() }
    }

    /// Verified URI SANs, in order.
    pub(crate) fn uri_sans(&self) -> &[String] {
        self.peer.as_ref().map_or(&[], |peer| &peer.uri_sans)
    }
}

impl ConnInfo {
    /// A connection of which no more is known yet. Unless it was redirected, it came to its destination itself.
    pub fn new(kind: ListenerKind, listener: Name, peer: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            kind,
            listener,
            peer,
            announced: None,
            local: destination,
            destination,
            sni: None,
            tls: None,
            audited: None,
            peer_workload: OnceCell::new(),
            memo: Memo::default(),
        }
    }

    /// The address that the connection itself comes from, whatever a header tells (Envoy's `direct_remote_ip`).
    pub(crate) fn direct_peer(&self) -> SocketAddr {
        self.announced.as_ref().map_or(self.peer, |announced| announced.by)
    }

    /// The peer's verified identity, if mutual TLS was used.
    pub fn peer_identity(&self) -> Option<&Identity> {
        self.tls.as_ref()?.peer.as_ref()?.identity.as_ref()
    }
}
