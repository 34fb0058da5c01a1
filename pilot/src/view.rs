//! What one proxy may see of a world: all of it made at once, or, for a proxy that asks by name, what it asks for.

use std::sync::Arc;

use crate::generate;
use crate::proxy::Proxy;
use crate::resource::{Kind, Resource, Resources};
use crate::world::{Changed, Served, World};

/// One proxy's view.
pub(crate) struct View {
    world: Arc<World>,
    proxy: Proxy,
    /// Sent without being asked for.
    own: Resources,
    /// What the workload serves, of which `own` is made.
    serves: Vec<Served>,
}

impl View {
    pub(crate) fn new(world: Arc<World>, proxy: Proxy) -> Self {
        let own =
            if proxy.on_demand { generate::essentials(&world, &proxy) } else { generate::generate(&world, &proxy) };
        let serves = world.served_by(&proxy.ip().to_string()).to_vec();
        Self { world, proxy, own, serves }
    }

    /// Follows to a newer world.
    pub(crate) fn follow(&mut self, world: Arc<World>) {
        let serves = world.served_by(&self.proxy.ip().to_string()).to_vec();
        let only = match &world.changed {
            Changed::Instances(hosts) if world.generation == self.world.generation + 1 && serves == self.serves => {
                Some(hosts)
            }
            _ => None,
        };
        match only {
            // A gateway's own are its listeners and routes, on which instances have no bearing.
            Some(_) if self.proxy.on_demand => {}
            Some(hosts) => generate::instances(&world, &self.proxy, hosts, &mut self.own),
            None => {
                *self = Self::new(world, self.proxy.clone());
                return;
            }
        }
        self.world = world;
    }

    /// A resource by name, if there is one.
    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<Arc<Resource>> {
        if let Some(own) = self.own.get(kind, name) {
            return Some(own.clone());
        }
        if !self.proxy.on_demand {
            return None;
        }
        let make = || generate::one(&self.world, &self.proxy, kind, name);
        self.world.shelf.get(kind, name, &self.proxy, make)
    }

    /// True for a proxy that asks for what it uses.
    pub(crate) fn is_on_demand(&self) -> bool {
        self.proxy.on_demand
    }

    /// How the control plane introduces itself to this proxy.
    pub(crate) fn identifier(&self) -> &'static str {
        if self.proxy.on_demand { mesh_types::ON_DEMAND_CONTROL_PLANE } else { "weft" }
    }

    /// True for what is sent without being asked for.
    pub(crate) fn has_own(&self, kind: Kind, name: &str) -> bool {
        self.own.get(kind, name).is_some()
    }

    /// The names that are sent without being asked for.
    pub(crate) fn own(&self, kind: Kind) -> impl Iterator<Item = &String> {
        self.own.all(kind).map(|(name, _)| name)
    }
}
