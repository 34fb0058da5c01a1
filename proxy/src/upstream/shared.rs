//! What all workers share of their clusters.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hashbrown::HashMap;
use mesh_types::Name;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::dns::{self, Names, Resolver};
use super::health::Health;
use super::limits::Usage;
use crate::delivery;
use crate::model::EndpointSet;

/// Limits in use, passive health and resolved names, over all workers. Locks are taken when a cluster or endpoint is
/// first met, never on the way of a request.
pub struct Shared {
    /// Where names are resolved.
    control: Handle,
    resolver: Resolver,
    begun: Instant,
    /// Grows whenever an endpoint is ejected.
    health_version: AtomicU64,
    usage: Mutex<HashMap<Name, Weak<Usage>>>,
    health: Mutex<HashMap<SocketAddr, Weak<Health>>>,
    resolved: Mutex<HashMap<Name, Weak<Resolution>>>,
}

/// What names resolve to. It goes on for as long as somebody holds this.
pub(super) struct Resolution {
    names: Names,
    pub(super) endpoints: watch::Receiver<Option<Arc<EndpointSet>>>,
}

impl Shared {
    /// Nothing known yet. `control` runs the resolution of names.
    pub fn new(control: Handle) -> Arc<Self> {
        delivery::watch();
        Arc::new(Self {
            control,
            resolver: Resolver::default(),
            begun: Instant::now(),
            health_version: AtomicU64::new(0),
            usage: Mutex::default(),
            health: Mutex::default(),
            resolved: Mutex::default(),
        })
    }

    /// Milliseconds since the beginning, plus one: 0 is never.
    pub(super) fn now(&self) -> u64 {
        let since: Duration = self.begun.elapsed();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    pub(super) fn health_changed(&self) {
        self.health_version.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn health_version(&self) -> u64 {
        self.health_version.load(Ordering::Relaxed)
    }

    /// What is under way in a cluster.
    pub(super) fn usage(&self, cluster: &Name) -> Arc<Usage> {
        shared(&mut self.usage.lock(), cluster.clone())
    }

    /// What is under way in a cluster that some worker has met.
    pub fn usage_of(&self, cluster: &str) -> Option<Arc<Usage>> {
        self.usage.lock().get(cluster).and_then(Weak::upgrade)
    }

    /// The record of an address.
    pub(super) fn health_of(&self, address: SocketAddr) -> Arc<Health> {
        shared(&mut self.health.lock(), address)
    }

    /// Follows what a cluster's names resolve to. One resolution serves all workers and ends with the last of them.
    pub(super) fn resolve(&self, cluster: &Name, names: Names) -> Arc<Resolution> {
        let mut resolved = self.resolved.lock();
        if let Some(known) = resolved.get(cluster).and_then(Weak::upgrade)
            && known.names == names
        {
            return known;
        }
        let (sender, endpoints) = watch::channel(None);
        self.control.spawn(dns::follow(self.resolver.clone(), names.clone(), sender));
        let made = Arc::new(Resolution { names, endpoints });
        resolved.insert(cluster.clone(), Arc::downgrade(&made));
        made
    }

    /// Lets go of what no worker uses any more. For a timer of the control thread.
    pub fn tidy(&self) {
        delivery::settle();
        self.usage.lock().retain(|_, usage| usage.strong_count() > 0);
        self.health.lock().retain(|_, health| health.strong_count() > 0);
        self.resolved.lock().retain(|_, known| known.strong_count() > 0);
    }
}

fn shared<K: Eq + std::hash::Hash, V: Default>(all: &mut HashMap<K, Weak<V>>, key: K) -> Arc<V> {
    if let Some(held) = all.get(&key).and_then(Weak::upgrade) {
        return held;
    }
    let made = Arc::new(V::default());
    all.insert(key, Arc::downgrade(&made));
    made
}
