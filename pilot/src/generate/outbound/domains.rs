//! The names under which applications call services.

use std::net::IpAddr;

use crate::proxy::Proxy;
use crate::world::{Resolution, Service, World, host_matches};

const CLUSTER: &str = ".svc.cluster.local";

/// Every name under which a proxy's application may call a service.
pub(super) fn of(service: &Service, proxy: &Proxy) -> Vec<String> {
    let mut names = of_host(&service.host);
    if let Some(short) = service.host.strip_suffix(CLUSTER) {
        names.extend([format!("{short}.svc"), short.to_owned()]);
        if service.namespace == proxy.namespace() {
            names.push(service.name.clone());
        }
        if is_headless(service) {
            let instances: Vec<String> = names.iter().map(|name| format!("*.{name}")).collect();
            names.extend(instances);
        }
    }
    names.extend(service.addresses.iter().map(|address| match address {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }));
    names
}

/// A host, and the same as an absolute name, with a dot at its end.
pub(in crate::generate) fn of_host(host: &str) -> Vec<String> {
    let is_name = !host.starts_with('*') && host.parse::<IpAddr>().is_err();
    let absolute = is_name.then(|| format!("{host}."));
    [host.to_owned()].into_iter().chain(absolute).collect()
}

/// The names, if one of them holds for an authority; the authority alone, if a wildcard does.
pub(super) fn that_hold(names: Vec<String>, authority: &str) -> Option<Vec<String>> {
    if names.iter().any(|name| name == authority) {
        return Some(names);
    }
    let wildcard = names.iter().any(|name| name.starts_with('*') && host_matches(name, authority));
    wildcard.then(|| vec![authority.to_owned()])
}

/// The services that an authority may mean.
pub(super) fn candidates<'a>(world: &'a World, proxy: &Proxy, authority: &str) -> Vec<&'a Service> {
    if let Ok(ip) = authority.trim_matches(['[', ']']).parse::<IpAddr>() {
        return world.at_address(ip).collect();
    }
    let authority = authority.strip_suffix('.').unwrap_or(authority);
    // An instance of a headless service is called by its own name before the service's.
    let instance = authority.split_once('.').map(|(_, service)| service);
    let names = [Some(authority), instance].into_iter().flatten().flat_map(|name| {
        [
            name.to_owned(),
            format!("{name}.{}{CLUSTER}", proxy.namespace()),
            format!("{name}{CLUSTER}"),
            format!("{name}.cluster.local"),
        ]
    });
    names.filter_map(|name| world.service(proxy, &name)).collect()
}

/// Called at its instances' addresses, each of which has a name.
fn is_headless(service: &Service) -> bool {
    service.addresses.is_empty() && service.resolution != Resolution::Dns
}
