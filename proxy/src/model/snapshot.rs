//! The whole of what the proxy knows at one moment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use mesh_tls::Revocations;
use mesh_types::Name;

use super::cluster::{Cluster, EndpointSet};
use super::listener::{Listener, ListenerKind};
use super::resource::Resources;
use super::route::RouteConfig;

/// Everything known at one moment. Cloning copies pointers; xDS clones, edits and publishes.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Grows with every publication.
    pub version: u64,
    /// By resource name.
    pub listeners: HashMap<Name, Arc<Listener>>,
    /// Outbound listeners without a socket of their own, by the address that redirected connections were meant for.
    /// See [`Snapshot::listener_for`].
    pub by_destination: HashMap<SocketAddr, Arc<Listener>>,
    /// By resource name; virtual hosts of VHDS are merged in.
    pub routes: HashMap<Name, Arc<RouteConfig>>,
    /// By resource name.
    pub clusters: HashMap<Name, Arc<Cluster>>,
    /// By EDS name (`service_name`, or the cluster's).
    pub endpoints: HashMap<Name, Arc<EndpointSet>>,
    /// Keys and roots by name.
    pub secrets: HashMap<SecretName, Arc<TlsSecrets>>,
    /// Everything was asked for: what is not here does not exist.
    pub everything: bool,
    /// What the control plane was asked for and said does not exist.
    pub absent: Arc<Absent>,
    /// What all this was read from, for `/config_dump` alone.
    pub resources: Resources,
}

/// Names that the control plane was asked for and said do not exist, until it says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Absent {
    /// Addresses without a listener; a wildcard address stands for the whole port.
    pub listeners: HashSet<SocketAddr>,
    /// Authorities (lower case) without a virtual host, by route configuration.
    pub hosts: HashMap<Name, HashSet<Box<str>>>,
    /// Clusters.
    pub clusters: HashSet<Name>,
}

impl Snapshot {
    /// The listener for a redirected connection: of exactly this address, else of the port on every address.
    pub fn listener_for(&self, destination: SocketAddr) -> Option<&Arc<Listener>> {
        let port = || self.by_destination.get(&wildcard(destination));
        self.by_destination.get(&destination).or_else(port)
    }

    /// Rebuilds [`Snapshot::by_destination`] from the listeners.
    pub fn index_listeners(&mut self) {
        let redirected = |listener: &&Arc<Listener>| !listener.bind && listener.kind == ListenerKind::Outbound;
        let pairs = self.listeners.values().filter(redirected);
        self.by_destination =
            pairs.flat_map(|listener| listener.addresses.iter().map(|address| (*address, listener.clone()))).collect();
    }
}

/// The same port on every address of the family: where Istio's listeners for HTTP ports are.
pub(crate) fn wildcard(destination: SocketAddr) -> SocketAddr {
    let every: IpAddr = match destination {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(every, destination.port())
}

/// The name of keys or roots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretName {
    /// The workload's own certificate (SDS `default`), from citadel.
    Workload,
    /// The mesh's roots (SDS `ROOTCA`), from citadel.
    MeshRoots,
    /// Over SDS by this name, such as `kubernetes://my-credential`.
    Named(Name),
    /// Files: certificate chain and key.
    Files(Name, Name),
    /// A file of root certificates.
    RootsFile(Name),
    /// The operating system's roots.
    SystemRoots,
}

/// Keys or roots, as SDS carries them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsSecrets {
    /// Certificate chain and private key.
    pub keys: Option<ServerKeys>,
    /// Root certificates in PEM.
    pub roots_pem: Option<Vec<u8>>,
    /// What of the roots' is revoked.
    pub revocations: Option<Revocations>,
}

/// A certificate chain with its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerKeys {
    /// Leaf first.
    pub chain_pem: Vec<u8>,
    /// Private key.
    pub key_pem: Vec<u8>,
}

impl std::fmt::Debug for TlsSecrets {
    /// Never prints a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsSecrets")
            .field("keys", &self.keys.as_ref().map(|_| "<redacted>"))
            .field("roots", &self.roots_pem.as_ref().map(Vec::len))
            .field("revocations", &self.revocations)
            .finish()
    }
}
