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

use mesh_types::ClusterName;

use crate::kind::Kind;
use crate::proxy::Proxy;
use crate::resource::{Resource, Resources};
use crate::world::{Hosts, World};

/// Everything that a proxy may see.
pub fn generate(world: &World, proxy: &Proxy) -> Resources {
    let proxy = &proxy.scoped(world);
    let mut resources = clusters(world, proxy);
    let listeners = listeners(world, proxy, &resources);
    resources.extend(listeners);
    resources.extend(own(world, proxy));
    resources
}

/// The clusters that a proxy which was scoped to the world is sent unasked, and alike all that see the same.
pub(crate) fn clusters(world: &World, proxy: &Proxy) -> Resources {
    let mut resources = Resources::default();
    cluster::fixed(&mut resources);
    if !proxy.on_demand {
        cluster::outbound(world, proxy, &mut resources);
    }
    resources
}

/// The listeners that it is sent unasked, and alike all that see the same: where redirected calls arrive and, if it does
/// not ask for the rest by name, everything, with the clusters that this leads to beside those that are seen.
pub(crate) fn listeners(world: &World, proxy: &Proxy, clusters: &Resources) -> Resources {
    let mut resources = Resources::default();
    match (proxy.is_gateway(), proxy.on_demand) {
        (true, _) => {}
        (false, true) => outbound::capture(world, proxy, &mut resources),
        (false, false) => outbound::listeners(world, proxy, clusters, &mut resources),
    }
    resources
}

/// What is a proxy's own: a sidecar's inbound side, a gateway's listeners and routes.
pub(crate) fn own(world: &World, proxy: &Proxy) -> Resources {
    let mut resources = Resources::default();
    if proxy.is_gateway() {
        gateway::listeners(world, proxy, &mut resources);
    } else {
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

/// Brings clusters up to date of which it depends on these hosts what they are.
pub(crate) fn clusters_of(world: &World, proxy: &Proxy, hosts: &Hosts, resources: &mut Resources) {
    let other = |name: &str| name.parse::<ClusterName>().map_or(true, |cluster| !hosts.concern(&cluster.host));
    resources.retain(Kind::Cluster, other);
    resources.retain(Kind::Endpoints, other);
    for service in world.services.values().filter(|service| hosts.concern(&service.host)) {
        if world.sees(proxy, service) {
            cluster::of_service(world, proxy, service, resources);
        }
    }
}

/// True if where the proxy's listeners are depends on who serves these hosts: services without addresses of their own are
/// found at those of their instances.
pub(crate) fn listeners_depend_on(world: &World, proxy: &Proxy, hosts: &Hosts) -> bool {
    let mut services = hosts.iter().filter_map(|host| world.service(proxy, host));
    !proxy.is_gateway() && services.any(|service| service.addresses.is_empty())
}
