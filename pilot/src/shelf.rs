//! Resources made by name, kept for the next proxy that may see the same.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::kind::Kind;
use crate::proxy::Proxy;
use crate::resource::{Resource, Resources};
use crate::world::Hosts;

/// More are not kept for proxies with one sight.
const MOST: usize = 100_000;

/// What was made of a world so far, and for whom.
pub(crate) struct Shelf {
    /// Labels of callers on which it depends which instances are near.
    near: BTreeSet<String>,
    /// Labels of callers on which it depends which routes are theirs.
    routed: BTreeSet<String>,
    made: Mutex<HashMap<(Kind, u64), HashMap<Box<str>, Arc<Resource>>>>,
    /// What proxies with one sight are all sent unasked.
    common: Mutex<HashMap<u64, Arc<Resources>>>,
}

/// What of a proxy decides about what it sees: proxies that are equal in this see the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    clusters: u64,
    routes: u64,
    common: u64,
}

impl Sight {
    fn of(self, kind: Kind) -> u64 {
        match kind {
            Kind::Cluster | Kind::Endpoints => self.clusters,
            Kind::Listener | Kind::Route | Kind::VirtualHost | Kind::Secret => self.routes,
        }
    }
}

impl Shelf {
    /// An empty one, of a world in which callers' labels of these names decide how near an instance is, and whose a route.
    pub(crate) fn new(near: BTreeSet<String>, routed: BTreeSet<String>) -> Self {
        Self { near, routed, made: Mutex::default(), common: Mutex::default() }
    }

    /// For the next world: with what was made of this one and depends on none of these hosts. It is taken from here:
    /// whoever has not followed yet makes it again.
    pub(crate) fn next(&self, hosts: &Hosts, routed: &BTreeSet<String>) -> Self {
        let mut made = std::mem::take(&mut *self.made.lock());
        let sees_as_before = *routed == self.routed;
        made.retain(|(kind, _), _| sees_as_before || matches!(kind, Kind::Cluster | Kind::Endpoints));
        for resources in made.values_mut() {
            resources.retain(|_, resource| !resource.depends_on.iter().any(|host| hosts.concern(host)));
        }
        Self { made: Mutex::new(made), ..Self::new(self.near.clone(), routed.clone()) }
    }

    /// A resource as proxies with this sight see it; `make` is called if none of them has asked for it yet.
    pub(crate) fn get(
        &self,
        kind: Kind,
        name: &str,
        sight: Sight,
        make: impl FnOnce() -> Option<Resource>,
    ) -> Option<Arc<Resource>> {
        let key = (kind, sight.of(kind));
        if let Some(made) = self.made.lock().get(&key).and_then(|made| made.get(name)) {
            return Some(made.clone());
        }
        // What does not exist is not kept: there is no end of it.
        let made = Arc::new(make()?);
        let mut shelf = self.made.lock();
        let shelf = shelf.entry(key).or_default();
        if shelf.len() < MOST {
            shelf.insert(name.into(), made.clone());
        }
        Some(made)
    }

    /// What all proxies with this sight are sent unasked, made once.
    pub(crate) fn common(&self, sight: Sight, make: impl FnOnce() -> Resources) -> Arc<Resources> {
        if let Some(made) = self.common.lock().get(&sight.common) {
            return made.clone();
        }
        let made = Arc::new(make());
        self.common.lock().entry(sight.common).or_insert(made).clone()
    }

    /// How a proxy that was scoped to the world sees it.
    pub(crate) fn sight(&self, proxy: &Proxy) -> Sight {
        let mut hasher = DefaultHasher::new();
        proxy.namespace().hash(&mut hasher);
        proxy.is_gateway().hash(&mut hasher);
        proxy.scope().map(|scope| scope.id).hash(&mut hasher);
        let (mut clusters, mut routes) = (hasher.clone(), hasher);
        proxy.place().locality.hash(&mut clusters);
        self.near.iter().for_each(|name| proxy.label(name).hash(&mut clusters));
        self.routed.iter().for_each(|name| proxy.labels.get(name).hash(&mut routes));
        let (clusters, routes) = (clusters.finish(), routes.finish());
        let mut both = DefaultHasher::new();
        (proxy.on_demand, clusters, routes).hash(&mut both);
        Sight { clusters, routes, common: both.finish() }
    }
}
