//! The whole of what the proxy knows at one moment.

use std::sync::Arc;

use hashbrown::HashMap;
use mesh_types::Name;

use super::cluster::{Cluster, EndpointSet};
use super::listener::Listener;
use super::route::RouteConfig;

/// Everything known at one moment. Cloning copies pointers; xDS clones, edits and publishes.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Grows with every publication.
    pub version: u64,
    /// By resource name.
    pub listeners: HashMap<Name, Arc<Listener>>,
    /// By resource name; virtual hosts of VHDS are merged in.
    pub routes: HashMap<Name, Arc<RouteConfig>>,
    /// By resource name.
    pub clusters: HashMap<Name, Arc<Cluster>>,
    /// By EDS name (`service_name`, or the cluster's).
    pub endpoints: HashMap<Name, Arc<EndpointSet>>,
    /// Keys and roots by name.
    pub secrets: HashMap<SecretName, Arc<TlsSecrets>>,
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

/// Keys or roots in PEM, as SDS carries them.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSecrets {
    /// Certificate chain and private key.
    pub keys: Option<ServerKeys>,
    /// Root certificates.
    pub roots_pem: Option<Vec<u8>>,
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
            .finish()
    }
}
