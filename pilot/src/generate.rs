//! From the world to the resources of one proxy. Pure: the same world and proxy give the same bytes.

mod authorization;
mod cluster;
mod endpoint;
mod gateway;
mod http;
mod inbound;
mod lead;
mod locality;
mod outbound;
mod policy;
mod route;
mod secret;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeSet;

use mesh_types::ClusterName;

use crate::kind::Kind;
use crate::proxy::Proxy;
use crate::resource::{Resource, Resources};
use crate::world::World;

/// Everything that a proxy may see.
pub fn generate(world: &World, proxy: &Proxy) -> Resources {
    everything(world, &proxy.scoped(world))
}

/// The same for a proxy that was scoped to the world.
pub(crate) fn everything(world: &World, proxy: &Proxy) -> Resources {
    let mut resources = Resources::default();
    cluster::fixed(&mut resources);
    cluster::outbound(world, proxy, &mut resources);
    if proxy.is_gateway() {
        gateway::listeners(world, proxy, &mut resources);
    } else {
        outbound::listeners(world, proxy, &mut resources);
        inbound::listener(world, proxy, &mut resources);
    }
    resources
}

/// What a proxy that asks for the rest by name needs from the beginning.
pub(crate) fn essentials(world: &World, proxy: &Proxy) -> Resources {
    let mut resources = Resources::default();
    cluster::fixed(&mut resources);
    if proxy.is_gateway() {
        gateway::listeners(world, proxy, &mut resources);
    } else {
        outbound::capture(world, proxy, &mut resources);
        inbound::listener(world, proxy, &mut resources);
    }
    resources
}

/// One resource by its name, as a proxy may see it.
pub(crate) fn one(world: &World, proxy: &Proxy, kind: Kind, name: &str) -> Option<Resource> {
    match kind {
        Kind::Cluster => cluster::named(world, proxy, name),
        Kind::Endpoints => cluster::endpoints(world, proxy, name),
        Kind::Listener if !proxy.is_gateway() => outbound::listener(world, proxy, name),
        Kind::Route if !proxy.is_gateway() => outbound::route(world, proxy, name),
        Kind::VirtualHost if !proxy.is_gateway() => outbound::virtual_host(world, proxy, name),
        _ => None,
    }
}

/// Brings up to date what depends on who serves these hosts.
pub(crate) fn instances(world: &World, proxy: &Proxy, hosts: &BTreeSet<String>, resources: &mut Resources) {
    let other = |name: &str| name.parse::<ClusterName>().map_or(true, |cluster| !hosts.contains(&cluster.host));
    resources.retain(Kind::Cluster, other);
    resources.retain(Kind::Endpoints, other);
    for service in hosts.iter().filter_map(|host| world.service(proxy, host)) {
        if world.sees(proxy, service) {
            cluster::of_service(world, proxy, service, resources);
            outbound::at_instances(world, proxy, service, resources);
        }
    }
}
