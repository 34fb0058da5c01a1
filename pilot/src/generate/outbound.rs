//! What a sidecar does with its application's own calls.

pub(super) mod domains;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3 as lds;
use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use galley::api::{MeshConfig, MeshOutboundMode};
use mesh_types::{BLACK_HOLE_CLUSTER, PASSTHROUGH_CLUSTER, ports};

use super::cluster;
use super::http::{Filter, HTTP_INSPECTOR, Routes, Side, TLS_INSPECTOR, connection, listener_filters, tcp_proxy};
use super::lead::{self, Lead};
use super::route::{Asker, prefix, told_to_proxies};
use super::wire::{address, ads, duration, flag};
use crate::kind::Kind;
use crate::proxy::Proxy;
use crate::resource::{Resource, Resources};
use crate::world::{Port, Resolution, Service, WILDCARDS, World, host_matches};

/// All outbound listeners and routes.
pub(super) fn listeners(world: &World, proxy: &Proxy, seen: &Resources, resources: &mut Resources) {
    capture(world, proxy, resources);
    let mut everywhere: BTreeSet<u16> = BTreeSet::new();
    for service in world.visible(proxy) {
        for port in &service.ports {
            if port.protocol.is_http() || is_unaddressed(service) || !service.ranges.is_empty() {
                everywhere.insert(port.number);
            }
            if !port.protocol.is_http() && !is_unaddressed(service) {
                bytes(world, proxy, service, port, resources);
            }
        }
    }
    for port in everywhere {
        let listener = Everywhere::of(world, proxy, port);
        resources.add(Kind::Listener, &of_port(port), &listener.message());
        if !listener.http {
            continue;
        }
        let routes = routes(world, proxy, port);
        resources.add(Kind::Route, &port.to_string(), &routes);
        let unseen = |name: &String| seen.get(Kind::Cluster, name).is_none();
        for name in clusters(&routes.virtual_hosts).into_iter().map(|(_, name)| name).filter(unseen) {
            cluster::add(world, proxy, &name, resources);
        }
    }
}

/// A port that is not declared as HTTP: a listener at each address, and routes where the protocol was not declared.
fn bytes(world: &World, proxy: &Proxy, service: &Service, port: &Port, resources: &mut Resources) {
    let leads = leads(world, proxy, service, port);
    for ip in service.called_at(port) {
        resources.add(Kind::Listener, &at(ip, port.number), &byte_listener(world, service, port, ip, &leads));
    }
    if !port.protocol.is_opaque() {
        resources.add(Kind::Route, &own_routes(service, port), &sniffed(world, proxy, service, port.number));
    }
}

/// Where connections to a service's port lead that are carried as bytes.
fn leads(world: &World, proxy: &Proxy, service: &Service, port: &Port) -> Vec<Lead> {
    lead::of_service(&Asker { world, proxy, gateway: "mesh", port: port.number }, service, port)
}

/// A listener by its name.
pub(super) fn listener(world: &World, proxy: &Proxy, name: &str) -> Option<Resource> {
    let (address, port) = name.rsplit_once('_')?;
    let port: u16 = port.parse().ok()?;
    let sees = |service: &&Service| world.sees(proxy, service);
    if address == "0.0.0.0" {
        let listener = Everywhere::of(world, proxy, port);
        let mentions = if listener.http { vec![(Kind::Route, port.to_string())] } else { Vec::new() };
        let made = || Resource::new(Kind::Listener, &listener.message()).mentioning(mentions).about(listener.hosts());
        return listener.is_needed().then(made);
    }
    let ip: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    let (service, port) = world.at_address(ip).filter(sees).find_map(|service| {
        let port = service.ports.iter().find(|one| one.number == port && !one.protocol.is_http())?;
        service.called_at(port).contains(&ip).then_some((service, port))
    })?;
    let leads = leads(world, proxy, service, port);
    let clusters: BTreeSet<&String> = leads.iter().flat_map(Lead::clusters).collect();
    let mut mentions: Vec<_> = clusters.into_iter().map(|name| (Kind::Cluster, name.clone())).collect();
    if !port.protocol.is_opaque() {
        mentions.push((Kind::Route, own_routes(service, port)));
    }
    let made = Resource::new(Kind::Listener, &byte_listener(world, service, port, ip, &leads));
    Some(made.mentioning(mentions).about([&*service.host, &ip.to_string()]))
}

/// A route configuration by its name. That of a port has the virtual hosts that cannot be asked for by an authority; the
/// others are asked for.
pub(super) fn route(world: &World, proxy: &Proxy, name: &str) -> Option<Resource> {
    if let Ok(port) = name.parse::<u16>() {
        let shell = rds::RouteConfiguration {
            virtual_hosts: virtual_hosts(world, proxy, port, |host| host.starts_with('*')),
            vhds: Some(rds::Vhds { config_source: Some(ads()) }),
            ..configuration(name)
        };
        let mentions = clusters(&shell.virtual_hosts);
        return Some(Resource::new(Kind::Route, &shell).mentioning(mentions).about([WILDCARDS]));
    }
    let (host, port) = name.rsplit_once(':')?;
    let service = world.service(proxy, host).filter(|service| world.sees(proxy, service))?;
    let port: u16 = port.parse().ok()?;
    let declared = service.ports.iter().find(|one| one.number == port)?;
    if declared.protocol.is_opaque() || declared.protocol.is_http() {
        return None;
    }
    let routes = sniffed(world, proxy, service, port);
    let mentions = clusters(&routes.virtual_hosts);
    Some(Resource::new(Kind::Route, &routes).mentioning(mentions).about([host]))
}

/// The virtual host of an authority: `<route configuration>/<authority without port>`.
pub(super) fn virtual_host(world: &World, proxy: &Proxy, name: &str) -> Option<Resource> {
    let (route, authority) = name.split_once('/')?;
    let port: u16 = route.parse().ok()?;
    let asker = Asker { world, proxy, gateway: "mesh", port };
    let of_service = || {
        domains::candidates(world, proxy, authority).into_iter().find_map(|service| {
            let domains = domains::that_hold(domains::of(service, proxy), authority)?;
            (world.sees(proxy, service) && speaks_http(service, port))
                .then(|| (service, host(&asker, service, domains)))
        })
    };
    // Wildcards are in the route configuration already.
    let is_called = |host: &rds::VirtualHost| host.domains.iter().any(|name| name == authority);
    let unregistered = || unregistered(&asker).into_iter().find(is_called);
    let found = of_service().map(|(service, host)| (&*service.host, host));
    let (about, host) = found.or_else(|| Some((authority, unregistered()?)))?;
    let mentions = clusters(std::slice::from_ref(&host));
    Some(Resource::new(Kind::VirtualHost, &host).mentioning(mentions).about([about, authority]))
}

/// The clusters that routes lead to.
fn clusters(hosts: &[rds::VirtualHost]) -> Vec<(Kind, String)> {
    let mut names = BTreeSet::new();
    for route in hosts.iter().flat_map(|host| &host.routes) {
        let Some(Action::Route(action)) = &route.action else { continue };
        match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => _ = names.insert(name),
            Some(ClusterSpecifier::WeightedClusters(split)) => {
                names.extend(split.clusters.iter().map(|one| &one.name));
            }
            _ => {}
        }
        names.extend(action.request_mirror_policies.iter().map(|mirror| &mirror.cluster));
    }
    let structured = |name: &&&String| name.contains('|');
    names.iter().filter(structured).map(|name| (Kind::Cluster, (*name).clone())).collect()
}

/// Where redirected calls arrive. What no other listener takes passes through, or does not.
pub(super) fn capture(world: &World, proxy: &Proxy, resources: &mut Resources) {
    let itself = lds::FilterChain {
        name: "virtualOutbound-blackhole".to_owned(),
        filter_chain_match: Some(lds::FilterChainMatch {
            destination_port: Some(super::wire::number(u32::from(ports::OUTBOUND))),
            ..Default::default()
        }),
        filters: vec![tcp_proxy(&world.mesh, BLACK_HOLE_CLUSTER)],
        ..Default::default()
    };
    let rest = lds::FilterChain { name: "virtualOutbound-catchall-tcp".to_owned(), ..elsewhere(world, proxy) };
    let listener = lds::Listener {
        bind_to_port: None,
        use_original_dst: Some(flag(true)),
        filter_chains: vec![itself, rest],
        ..redirected("virtualOutbound", &every(ports::OUTBOUND))
    };
    resources.add(Kind::Listener, "virtualOutbound", &listener);
}

/// The chain of connections to what nobody serves.
fn elsewhere(world: &World, proxy: &Proxy) -> lds::FilterChain {
    let cluster = if allows_any(world, proxy) { PASSTHROUGH_CLUSTER } else { BLACK_HOLE_CLUSTER };
    lds::FilterChain { filters: vec![tcp_proxy(&world.mesh, cluster)], ..Default::default() }
}

fn allows_any(world: &World, proxy: &Proxy) -> bool {
    if let Some(said) = proxy.scope().and_then(|scope| scope.allow_any) {
        return said;
    }
    world.mesh.outbound_traffic_policy.as_ref().is_none_or(|policy| policy.mode == MeshOutboundMode::AllowAny)
}

/// An address for both families.
pub(super) fn every(port: u16) -> [SocketAddr; 2] {
    [SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)]
}

/// A listener without a socket of its own.
fn redirected(name: &str, addresses: &[SocketAddr]) -> lds::Listener {
    lds::Listener {
        name: name.to_owned(),
        address: addresses.first().map(|one| address(*one)),
        additional_addresses: addresses
            .iter()
            .skip(1)
            .map(|one| lds::AdditionalAddress { address: Some(address(*one)), ..Default::default() })
            .collect(),
        bind_to_port: Some(flag(false)),
        traffic_direction: TrafficDirection::Outbound as i32,
        ..Default::default()
    }
}

/// Names of listeners.
fn of_port(port: u16) -> String {
    format!("0.0.0.0_{port}")
}

fn at(ip: IpAddr, port: u16) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{ip}_{port}"),
        IpAddr::V6(ip) => format!("[{ip}]_{port}"),
    }
}

/// The name of the routes of a port whose protocol was not declared.
fn own_routes(service: &Service, port: &Port) -> String {
    format!("{}:{}", service.host, port.number)
}

/// Marks the listeners of a service's port at its instances, in their prefix of statistics.
fn about(service: &Service, port: &Port) -> String {
    format!("service|{}|{}|", port.number, service.host)
}

/// True for a service that is not called at addresses that are known: by name alone.
fn is_unaddressed(service: &Service) -> bool {
    let known = matches!(service.resolution, Resolution::Endpoints | Resolution::Headless);
    service.addresses.is_empty() && service.ranges.is_empty() && !known && !service.alias
}

/// A port on every address: HTTP, which tells by its authority whom it is for, TLS, which tells by its server name, what
/// goes to ranges of addresses, and whatever else is called there.
struct Everywhere<'a> {
    world: &'a World,
    proxy: &'a Proxy,
    port: u16,
    /// Some service declares the port as HTTP.
    http: bool,
    /// TLS by server name, and bytes by ranges of addresses.
    some: Vec<Lead>,
    /// Bytes to the only service that could be meant. Of two nobody could tell which.
    bytes: Vec<Lead>,
    /// The services that are not called at single addresses.
    services: Vec<&'a Service>,
}

impl<'a> Everywhere<'a> {
    fn of(world: &'a World, proxy: &'a Proxy, port: u16) -> Self {
        let (some, bytes, services) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = Self { world, proxy, port, http: false, some, bytes, services };
        let mut called_by_name = 0;
        for service in world.at_port(port).filter(|service| world.sees(proxy, service)) {
            for one in service.ports.iter().filter(|one| one.number == port) {
                if one.protocol.is_http() {
                    found.http = true;
                    continue;
                }
                if !is_unaddressed(service) && service.ranges.is_empty() {
                    continue;
                }
                found.services.push(service);
                let leads = leads(world, proxy, service, one).into_iter().map(|lead| lead.within(&service.ranges));
                if one.protocol.is_tls() {
                    found.some.extend(leads.map(|lead| lead.named(&service.host)));
                } else if !service.ranges.is_empty() {
                    found.some.extend(leads);
                } else {
                    called_by_name += 1;
                    found.bytes = leads.collect();
                }
            }
        }
        if called_by_name > 1 {
            found.bytes.clear();
        }
        found.some = lead::distinct(found.some);
        found
    }

    /// The hosts that decide where its connections lead.
    fn hosts(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|service| &*service.host)
    }

    fn is_needed(&self) -> bool {
        self.http || !self.some.is_empty() || !self.bytes.is_empty()
    }

    fn message(&self) -> lds::Listener {
        let name = of_port(self.port);
        let mut chains = Vec::new();
        if self.http {
            chains.push(spoken(self.world, &name, self.port.to_string()));
        }
        let (all, some): (Vec<&Lead>, Vec<&Lead>) =
            self.some.iter().chain(&self.bytes).partition(|lead| lead.takes_all());
        chains.extend(some.iter().map(|lead| lead.chain(&self.world.mesh)));
        let rest = all.first().map(|lead| lead.chain(&self.world.mesh));
        let inspectors = if self.http { &[TLS_INSPECTOR, HTTP_INSPECTOR][..] } else { &[TLS_INSPECTOR] };
        lds::Listener {
            filter_chains: chains,
            default_filter_chain: Some(rest.unwrap_or_else(|| elsewhere(self.world, self.proxy))),
            ..inspected(&self.world.mesh, redirected(&name, &every(self.port)), inspectors)
        }
    }
}

/// The chain of connections on which HTTP is spoken, with the routes of this name.
fn spoken(world: &World, listener: &str, routes: String) -> lds::FilterChain {
    let filter =
        connection(&world.mesh, Side::Outbound, &format!("outbound_{listener}"), Routes::Named(routes), Vec::new());
    lds::FilterChain {
        filter_chain_match: Some(lds::FilterChainMatch {
            transport_protocol: "raw_buffer".to_owned(),
            application_protocols: ["http/1.0", "http/1.1", "h2c"].map(str::to_owned).to_vec(),
            ..Default::default()
        }),
        filters: vec![filter],
        ..Default::default()
    }
}

/// A listener that looks at the first bytes, whichever side they come from.
fn inspected(mesh: &MeshConfig, listener: lds::Listener, inspectors: &[Filter]) -> lds::Listener {
    lds::Listener {
        listener_filters: listener_filters(inspectors),
        listener_filters_timeout: Some(duration(mesh.protocol_detection_timeout.unwrap_or_default())),
        continue_on_listener_filters_timeout: true,
        ..listener
    }
}

/// A port that is not declared as HTTP, at one address. Where the protocol was not declared, what is spoken decides.
fn byte_listener(world: &World, service: &Service, port: &Port, ip: IpAddr, leads: &[Lead]) -> lds::Listener {
    let name = at(ip, port.number);
    let (all, some): (Vec<&Lead>, Vec<&Lead>) = leads.iter().partition(|lead| lead.takes_all());
    let mut chains: Vec<_> = some.iter().map(|lead| lead.chain(&world.mesh)).collect();
    let rest = all.first().map(|lead| lead.chain(&world.mesh));
    let listener = lds::Listener {
        stat_prefix: if service.addresses.is_empty() { about(service, port) } else { String::new() },
        ..redirected(&name, &[SocketAddr::new(ip, port.number)])
    };
    if port.protocol.is_opaque() && chains.is_empty() {
        return lds::Listener { filter_chains: rest.into_iter().collect(), ..listener };
    }
    let listener = lds::Listener { default_filter_chain: rest, ..listener };
    if port.protocol.is_tls() {
        return lds::Listener { filter_chains: chains, ..inspected(&world.mesh, listener, &[TLS_INSPECTOR]) };
    }
    if port.protocol.is_opaque() {
        return lds::Listener { filter_chains: chains, ..listener };
    }
    chains.push(spoken(world, &name, own_routes(service, port)));
    lds::Listener { filter_chains: chains, ..inspected(&world.mesh, listener, &[TLS_INSPECTOR, HTTP_INSPECTOR]) }
}

/// Routes of one service alone, for a port whose protocol was not declared.
fn sniffed(world: &World, proxy: &Proxy, service: &Service, port: u16) -> rds::RouteConfiguration {
    let asker = Asker { world, proxy, gateway: "mesh", port };
    rds::RouteConfiguration {
        virtual_hosts: vec![host(&asker, service, vec!["*".to_owned()])],
        response_headers_to_remove: told_to_proxies(proxy),
        ..configuration(&format!("{}:{port}", service.host))
    }
}

/// A route configuration without virtual hosts.
fn configuration(name: &str) -> rds::RouteConfiguration {
    rds::RouteConfiguration {
        name: name.to_owned(),
        ignore_port_in_host_matching: true,
        validate_clusters: Some(flag(false)),
        ..Default::default()
    }
}

/// The virtual host of a service.
fn host(asker: &Asker<'_>, service: &Service, domains: Vec<String>) -> rds::VirtualHost {
    rds::VirtualHost {
        name: format!("{}:{}", service.host, asker.port),
        domains,
        routes: asker.to_service(service),
        include_request_attempt_count: true,
        ..Default::default()
    }
}

/// The virtual hosts of names that VirtualServices speak of and no service has. They are called at HTTP's own port.
fn unregistered(asker: &Asker<'_>) -> Vec<rds::VirtualHost> {
    let (world, proxy) = (asker.world, asker.proxy);
    if asker.port != 80 {
        return Vec::new();
    }
    let is_known = |host: &str| match host.strip_prefix('*') {
        Some(_) => world.visible(proxy).any(|service| host_matches(host, &service.host)),
        None => world.service(proxy, host).is_some_and(|service| world.sees(proxy, service)),
    };
    let mut hosts: BTreeMap<String, rds::VirtualHost> = BTreeMap::new();
    for object in asker.virtual_services() {
        let names = object.spec.hosts.iter().map(|host| world.full_host(host, &object.meta.namespace));
        for name in names.filter(|name| name != "*" && !is_known(name)) {
            let routes = asker.routes(object);
            if !routes.is_empty() {
                hosts.entry(name.clone()).or_insert_with(|| rds::VirtualHost {
                    name: format!("{name}:{}", asker.port),
                    domains: domains::of_host(&name),
                    routes,
                    include_request_attempt_count: true,
                    ..Default::default()
                });
            }
        }
    }
    hosts.into_values().collect()
}

/// The routes of everything that is served on a port.
fn routes(world: &World, proxy: &Proxy, port: u16) -> rds::RouteConfiguration {
    let virtual_hosts = virtual_hosts(world, proxy, port, |_| true);
    let response_headers_to_remove = told_to_proxies(proxy);
    rds::RouteConfiguration { virtual_hosts, response_headers_to_remove, ..configuration(&port.to_string()) }
}

/// The virtual hosts on a port whose names are picked, and the one of everything else.
fn virtual_hosts(world: &World, proxy: &Proxy, port: u16, picks: impl Fn(&str) -> bool) -> Vec<rds::VirtualHost> {
    let asker = Asker { world, proxy, gateway: "mesh", port };
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut hosts: BTreeMap<String, rds::VirtualHost> = BTreeMap::new();
    let mut add = |host: rds::VirtualHost| {
        let domains: Vec<String> = host.domains.into_iter().filter(|name| taken.insert(name.clone())).collect();
        if !domains.is_empty() {
            hosts.insert(host.name.clone(), rds::VirtualHost { domains, ..host });
        }
    };
    for service in world.at_port(port).filter(|service| picks(&service.host) && world.sees(proxy, service)) {
        if speaks_http(service, port) {
            add(host(&asker, service, domains::of(service, proxy)));
        }
    }
    unregistered(&asker).into_iter().filter(|host| host.domains.iter().all(|name| picks(name))).for_each(add);
    hosts.into_values().chain([unknown(world, proxy)]).collect()
}

fn speaks_http(service: &Service, port: u16) -> bool {
    service.ports.iter().any(|one| one.number == port && one.protocol.is_http())
}

/// What nobody serves passes through, or is refused.
fn unknown(world: &World, proxy: &Proxy) -> rds::VirtualHost {
    let (name, action) = if allows_any(world, proxy) {
        let action = rds::RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(PASSTHROUGH_CLUSTER.to_owned())),
            timeout: Some(duration(Duration::ZERO)),
            ..Default::default()
        };
        ("allow_any", Action::Route(action))
    } else {
        ("block_all", Action::DirectResponse(rds::DirectResponseAction { status: 502, ..Default::default() }))
    };
    let route =
        rds::Route { name: name.to_owned(), r#match: Some(prefix("/")), action: Some(action), ..Default::default() };
    rds::VirtualHost { name: name.to_owned(), domains: vec!["*".to_owned()], routes: vec![route], ..Default::default() }
}
