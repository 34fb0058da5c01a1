//! Resources made by name, kept for the next proxy that may see the same.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use mesh_types::ClusterName;
use parking_lot::Mutex;

use crate::kind::Kind;
use crate::proxy::Proxy;
use crate::resource::Resource;

/// More are not kept.
const MOST: usize = 200_000;

/// What was made of a world so far, and for whom.
pub(crate) struct Shelf {
    /// Labels of callers on which it depends which instances are near.
    asked_labels: BTreeSet<String>,
    made: Mutex<HashMap<Key, Arc<Resource>>>,
}

type Key = (Kind, String, u64);

impl Shelf {
    /// An empty one, of a world in which callers' labels of these names decide how near an instance is.
    pub(crate) fn of(asked_labels: BTreeSet<String>) -> Self {
        Self { asked_labels, made: Mutex::default() }
    }

    /// A resource as a proxy sees it; `make` is called if nobody who sees the same has asked for it yet.
    pub(crate) fn get(
        &self,
        kind: Kind,
        name: &str,
        proxy: &Proxy,
        make: impl FnOnce() -> Option<Resource>,
    ) -> Option<Arc<Resource>> {
        let key = (kind, name.to_owned(), self.sight(kind, proxy));
        if let Some(made) = self.made.lock().get(&key) {
            return Some(made.clone());
        }
        // What does not exist is not kept: there is no end of it.
        let made = Arc::new(make()?);
        let mut shelf = self.made.lock();
        if shelf.len() < MOST {
            shelf.insert(key, made.clone());
        }
        Some(made)
    }

    /// The same, without what depends on who serves these hosts.
    pub(crate) fn without(&self, hosts: &BTreeSet<String>) -> Self {
        let stays = |kind: Kind, name: &str| match kind {
            Kind::Cluster | Kind::Endpoints => {
                name.parse::<ClusterName>().is_ok_and(|cluster| !hosts.contains(&cluster.host))
            }
            // A service without an address of its own is found at its instances'.
            Kind::Listener => name.starts_with("0.0.0.0_"),
            Kind::Route | Kind::VirtualHost | Kind::Secret => true,
        };
        let made = self.made.lock();
        let kept = made.iter().filter(|((kind, name, _), _)| stays(*kind, name));
        let kept = kept.map(|(key, made)| (key.clone(), made.clone())).collect();
        Self { asked_labels: self.asked_labels.clone(), made: Mutex::new(kept) }
    }

    /// What of a proxy a resource of this kind depends on.
    fn sight(&self, kind: Kind, proxy: &Proxy) -> u64 {
        let mut hasher = DefaultHasher::new();
        proxy.namespace().hash(&mut hasher);
        proxy.is_gateway().hash(&mut hasher);
        proxy.scope().map(|scope| scope.id).hash(&mut hasher);
        if matches!(kind, Kind::Cluster | Kind::Endpoints) {
            proxy.place().locality.hash(&mut hasher);
            self.asked_labels.iter().for_each(|name| proxy.label(name).hash(&mut hasher));
        } else {
            proxy.labels.hash(&mut hasher);
        }
        hasher.finish()
    }
}
