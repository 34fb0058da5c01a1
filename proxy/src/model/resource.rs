//! Resources as the control plane sent them.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use mesh_types::Name;

/// Types of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoints,
    /// LDS.
    Listener,
    /// RDS.
    Route,
    /// VHDS.
    VirtualHost,
    /// SDS.
    Secret,
}

impl Type {
    /// All of them, in the order in which they are asked for.
    pub const ALL: [Self; 6] =
        [Self::Cluster, Self::Endpoints, Self::Listener, Self::Route, Self::VirtualHost, Self::Secret];

    /// The type's URL, by which xDS knows it.
    pub fn url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::VirtualHost => "type.googleapis.com/envoy.config.route.v3.VirtualHost",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }

    /// The name of the type's message.
    pub fn message(self) -> &'static str {
        self.url().trim_start_matches("type.googleapis.com/")
    }

    /// The type with this URL.
    pub fn of(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.url() == url)
    }

    /// What a person calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Endpoints => "endpoints",
            Self::Listener => "listener",
            Self::Route => "route",
            Self::VirtualHost => "virtual host",
            Self::Secret => "secret",
        }
    }
}

/// What was sent under one name, and is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The control plane's word for this state of it.
    pub version: Box<str>,
    /// The encoded message; of a secret nothing, for it has keys.
    pub body: Box<[u8]>,
}

/// All that is in force, by type and resource name. Cloning copies a pointer for each type.
#[derive(Clone, Debug, Default)]
pub struct Resources(BTreeMap<Type, Arc<HashMap<Name, Arc<Resource>>>>);

impl Resources {
    /// What is in force of this type.
    pub fn of(&self, kind: Type) -> impl Iterator<Item = (&Name, &Resource)> {
        self.0.get(&kind).into_iter().flat_map(|all| all.iter()).map(|(name, one)| (name, &**one))
    }

    /// What is in force of this type, in the order of names.
    pub fn sorted(&self, kind: Type) -> Vec<(&Name, &Resource)> {
        let mut all: Vec<_> = self.of(kind).collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// True if something is in force under this name.
    pub fn contains(&self, kind: Type, name: &str) -> bool {
        self.0.get(&kind).is_some_and(|all| all.contains_key(name))
    }

    /// This is in force from now on.
    pub fn insert(&mut self, kind: Type, name: Name, resource: Resource) {
        Arc::make_mut(self.0.entry(kind).or_default()).insert(name, Arc::new(resource));
    }

    /// Nothing is in force under this name from now on.
    pub fn remove(&mut self, kind: Type, name: &str) {
        if let Some(all) = self.0.get_mut(&kind) {
            Arc::make_mut(all).remove(name);
        }
    }
}
