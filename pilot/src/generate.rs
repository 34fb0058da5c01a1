//! From the world to the resources of one proxy. Pure: the same world and proxy give the same bytes.

mod authorization;
mod cluster;
mod endpoint;
mod gateway;
mod http;
mod inbound;
mod outbound;
mod policy;
mod route;
mod wire;

use crate::proxy::Proxy;
use crate::resource::Resources;
use crate::world::World;

/// Everything that a proxy may see.
pub fn generate(world: &World, proxy: &Proxy) -> Resources {
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
