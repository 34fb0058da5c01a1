//! Asking for what a first use needs: the names of things wanted and the reasons why they did not come.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_types::Name;
use tokio::sync::oneshot;

use crate::model::{Snapshot, wildcard};

/// Something that a first use needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DemandKey {
    /// The listener for a redirected connection, by the connection's original destination.
    Listener(SocketAddr),
    /// The virtual host of an authority (lower case) in a route configuration.
    Host(Name, Box<str>),
    /// A cluster, with its endpoints.
    Cluster(Name),
}

/// Why something asked for on demand is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DemandError {
    /// The control plane was asked, now or before, and says that there is no such thing. What then happens is
    /// configuration's to say: the default chain of the listener, the wildcard virtual host of the route.
    #[error("the control plane knows no such resource")]
    DoesNotExist,
    /// The control plane cannot be reached, so that it is not known whether the thing exists.
    #[error("the control plane has been unreachable for {} s: {reason}", away.as_secs())]
    Unreachable {
        /// For how long.
        away: Duration,
        /// What went wrong last.
        reason: Arc<str>,
    },
    /// It was asked and did not answer in time.
    #[error("the control plane did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The answer came and cannot be honoured.
    #[error("the control plane's answer was refused: {0}")]
    Refused(Arc<str>),
    /// Too many first uses are waiting already.
    #[error("too many first uses are waiting for the control plane")]
    TooManyWaiting,
}

/// A first use that waits, as it travels to the client's thread.
pub(crate) struct Demand {
    pub(crate) key: DemandKey,
    pub(crate) reply: oneshot::Sender<Result<Arc<Snapshot>, DemandError>>,
}

impl DemandKey {
    /// What a snapshot already says of this: there, known to be absent, or unknown (`None`).
    pub(crate) fn known(&self, snapshot: &Snapshot) -> Option<Result<(), DemandError>> {
        match self {
            Self::Listener(destination) => listener_known(snapshot, *destination),
            Self::Host(route, authority) => host_known(snapshot, route, authority),
            Self::Cluster(name) => cluster_known(snapshot, name),
        }
    }
}

/// A listener of the very address is an answer; one of the whole port only if the address is known to have none.
fn listener_known(snapshot: &Snapshot, destination: SocketAddr) -> Option<Result<(), DemandError>> {
    if snapshot.by_destination.contains_key(&destination) {
        return Some(Ok(()));
    }
    if !snapshot.everything && !snapshot.absent.listeners.contains(&destination) {
        return None;
    }
    let port = wildcard(destination);
    if snapshot.by_destination.contains_key(&port) {
        return Some(Ok(()));
    }
    (snapshot.everything || snapshot.absent.listeners.contains(&port)).then_some(Err(DemandError::DoesNotExist))
}

/// A route configuration that is not `on_demand` has said all that it will.
pub(crate) fn host_known(snapshot: &Snapshot, route: &str, authority: &str) -> Option<Result<(), DemandError>> {
    let config = snapshot.routes.get(route)?;
    if config.exact.contains_key(authority) {
        return Some(Ok(()));
    }
    let absent = || snapshot.absent.hosts.get(route).is_some_and(|hosts| hosts.contains(authority));
    (!config.on_demand || absent()).then_some(Err(DemandError::DoesNotExist))
}

/// A cluster counts as there when its endpoints are, if it has any to wait for.
pub(crate) fn cluster_known(snapshot: &Snapshot, name: &str) -> Option<Result<(), DemandError>> {
    if let Some(cluster) = snapshot.clusters.get(name) {
        let waits =
            matches!(&cluster.discovery, crate::model::Discovery::Eds(eds) if !snapshot.endpoints.contains_key(eds));
        return (!waits || snapshot.everything).then_some(Ok(()));
    }
    (snapshot.everything || snapshot.absent.clusters.contains(name)).then_some(Err(DemandError::DoesNotExist))
}
