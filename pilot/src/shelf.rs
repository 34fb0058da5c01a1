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
    /// The namespaces that see services in a way of their own; `None` if any may.
    apart: Option<BTreeSet<Arc<str>>>,
    made: Mutex<HashMap<(Kind, u64), ByName>>,
    /// What proxies with one sight are all sent unasked, by what it is made of.
    common: Mutex<HashMap<(Part, u64), Arc<Resources>>>,
}

/// Resources of one kind as some proxies see them.
type ByName = HashMap<Box<str>, Arc<Resource>>;

/// A part of what many proxies are sent alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// Clusters with their endpoints.
    Clusters,
    /// Listeners with their routes.
    Listeners,
}

/// What of a proxy decides about what it sees: proxies that are equal in this see the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    clusters: u64,
    routes: u64,
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
    pub(crate) fn new(near: BTreeSet<String>, routed: BTreeSet<String>, apart: Option<BTreeSet<Arc<str>>>) -> Self {
        Self { near, routed, apart, made: Mutex::default(), common: Mutex::default() }
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
        Self { made: Mutex::new(made), ..Self::new(self.near.clone(), routed.clone(), self.apart.clone()) }
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
    pub(crate) fn common(&self, part: Part, sight: Sight, make: impl FnOnce() -> Arc<Resources>) -> Arc<Resources> {
        let key = match part {
            Part::Clusters => (part, sight.clusters),
            Part::Listeners => (part, sight.routes),
        };
        if let Some(made) = self.common.lock().get(&key) {
            return made.clone();
        }
        let made = make();
        self.common.lock().entry(key).or_insert(made).clone()
    }

    /// How a proxy that was scoped to the world sees it.
    pub(crate) fn sight(&self, proxy: &Proxy) -> Sight {
        let mut hasher = DefaultHasher::new();
        (proxy.on_demand, proxy.is_gateway()).hash(&mut hasher);
        proxy.scope().map(|scope| scope.id).hash(&mut hasher);
        let (mut clusters, mut routes) = (hasher.clone(), hasher);
        let is_apart = self.apart.as_ref().is_none_or(|apart| apart.contains(proxy.namespace()));
        is_apart.then(|| proxy.namespace()).hash(&mut clusters);
        proxy.place().locality.hash(&mut clusters);
        self.near.iter().for_each(|name| proxy.label(name).hash(&mut clusters));
        proxy.namespace().hash(&mut routes);
        self.routed.iter().for_each(|name| proxy.labels.get(name).hash(&mut routes));
        Sight { clusters: clusters.finish(), routes: routes.finish() }
    }
}
