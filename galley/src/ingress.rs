//! What a mesh makes of Kubernetes' Ingresses: the Gateways and VirtualServices that Istio makes of them, so that nothing
//! after this knows of Ingresses.
//!
//! ```text
//! class: whose they are ─▶ certificates: who answers for which host ─▶ gateway, routes (─▶ backend)
//! ```

mod backend;
mod certificates;
mod class;
mod gateway;
mod routes;

use crate::api::Gateway;
use crate::object::Object;
use crate::objects::{Key, Objects, Table};

pub(crate) use backend::trouble;
pub(crate) use certificates::Certificates;

impl Objects {
    /// With the Gateways and VirtualServices that are made of the Ingresses that the mesh serves; `None` if it serves none.
    pub fn with_ingresses(&self) -> Option<Self> {
        let served = self.ingresses_served();
        if served.is_empty() {
            return None;
        }
        let certificates = Certificates::of(&served);
        let mut all = self.clone();
        add(&mut all.gateways, gateway::of_ingresses(self, &served, &certificates));
        add(&mut all.virtual_services, routes::of_ingresses(self, &served, &certificates));
        Some(all)
    }

    /// The Gateways that are made of Ingresses.
    pub(crate) fn gateways_of_ingresses(&self) -> Vec<Object<Gateway>> {
        let served = self.ingresses_served();
        gateway::of_ingresses(self, &served, &Certificates::of(&served))
    }
}

/// Adds what was made. What somebody wrote under the same name stays.
fn add<T: Clone>(table: &mut Table<T>, made: Vec<Object<T>>) {
    for object in made {
        let key = Key { namespace: object.meta.namespace.clone(), name: object.meta.name.clone() };
        table.entry(key).or_insert(object);
    }
}

#[cfg(test)]
mod tests;
