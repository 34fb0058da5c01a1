//! Where a request goes, by a handle that is carried on in place of a name that would be looked up again.

use std::sync::Arc;

use mesh_types::Name;

use super::cluster::{Cluster, ServiceRef};
use super::snapshot::Snapshot;

/// A cluster, or the name of one that does not exist.
#[derive(Clone, Debug)]
pub enum Destination {
    /// It is there.
    Cluster(Arc<Cluster>),
    /// Configuration names it and does not have it.
    Missing(Name),
}

impl Destination {
    /// What a snapshot has of this name.
    pub fn of(snapshot: &Snapshot, name: &Name) -> Self {
        match snapshot.clusters.get(name) {
            Some(cluster) => Self::Cluster(cluster.clone()),
            None => Self::Missing(name.clone()),
        }
    }

    /// The cluster's name.
    pub fn name(&self) -> &Name {
        match self {
            Self::Cluster(cluster) => &cluster.name,
            Self::Missing(name) => name,
        }
    }

    /// The cluster, if it exists.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        match self {
            Self::Cluster(cluster) => Some(cluster),
            Self::Missing(_) => None,
        }
    }

    /// The service that the cluster stands for.
    pub fn service(&self) -> Option<&ServiceRef> {
        self.cluster()?.service.as_ref()
    }
}
