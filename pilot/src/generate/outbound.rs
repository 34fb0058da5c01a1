//! What a sidecar does with its application's own calls.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3 as lds;
use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use galley::api::MeshOutboundMode;
use mesh_types::{BLACK_HOLE_CLUSTER, ClusterName, PASSTHROUGH_CLUSTER, ports};

use super::http::{Routes, Side, connection, inspector, tcp_proxy};
use super::route::{Asker, prefix};
use super::wire::{address, duration, flag};
use crate::proxy::Proxy;
use crate::resource::{Kind, Resources};
use crate::world::{Port, Service, World, host_matches};

/// All outbound listeners and routes.
pub(super) fn listeners(world: &World, proxy: &Proxy, resources: &mut Resources) {
    resources.add(Kind::Listener, "virtualOutbound", &capture(world));
    let mut http: BTreeSet<u16> = BTreeSet::new();
    for service in world.visible(proxy.namespace()) {
        for port in &service.ports {
            if port.protocol.is_http() {
                http.insert(port.number);
            } else {
                bytes(world, service, port, resources);
            }
        }
    }
    for port in http {
        let name = format!("0.0.0.0_{port}");
        let filter = connection(
            &world.mesh,
            Side::Outbound,
            &format!("outbound_{name}"),
            Routes::Named(port.to_string()),
            Vec::new(),
        );
        let chain = lds::FilterChain { filters: vec![filter], ..Default::default() };
        resources.add(
            Kind::Listener,
            &name,
            &lds::Listener { filter_chains: vec![chain], ..redirected(&name, &every(port)) },
        );
        resources.add(Kind::Route, &port.to_string(), &routes(world, proxy, port));
    }
}

/// Where redirected calls arrive. What no other listener takes passes through, or does not.
fn capture(world: &World) -> lds::Listener {
    let itself = lds::FilterChain {
        name: "virtualOutbound-blackhole".to_owned(),
        filter_chain_match: Some(lds::FilterChainMatch {
            destination_port: Some(super::wire::number(u32::from(ports::OUTBOUND))),
            ..Default::default()
        }),
        filters: vec![tcp_proxy(&world.mesh, BLACK_HOLE_CLUSTER)],
        ..Default::default()
    };
    let rest = lds::FilterChain {
        name: "virtualOutbound-catchall-tcp".to_owned(),
        filters: vec![tcp_proxy(&world.mesh, if allows_any(world) { PASSTHROUGH_CLUSTER } else { BLACK_HOLE_CLUSTER })],
        ..Default::default()
    };
    lds::Listener {
        bind_to_port: None,
        use_original_dst: Some(flag(true)),
        filter_chains: vec![itself, rest],
        ..redirected("virtualOutbound", &every(ports::OUTBOUND))
    }
}

fn allows_any(world: &World) -> bool {
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

/// A port that is not declared as HTTP: at each of the service's addresses, or its endpoints' if it has none. Where the
/// protocol was not declared, what is spoken decides.
fn bytes(world: &World, service: &Service, port: &Port, resources: &mut Resources) {
    let headless = || port.instances.iter().filter_map(|instance| instance.address.parse().ok()).collect();
    let addresses: Vec<IpAddr> = if service.addresses.is_empty() { headless() } else { service.addresses.clone() };
    let cluster = ClusterName::outbound(&service.host, port.number, "").to_string();
    let plain = lds::FilterChain { filters: vec![tcp_proxy(&world.mesh, &cluster)], ..Default::default() };
    for ip in addresses {
        let at = SocketAddr::new(ip, port.number);
        let name = match ip {
            IpAddr::V4(ip) => format!("{ip}_{}", port.number),
            IpAddr::V6(ip) => format!("[{ip}]_{}", port.number),
        };
        let mut listener = lds::Listener { filter_chains: vec![plain.clone()], ..redirected(&name, &[at]) };
        if !port.protocol.is_opaque() {
            let routes = format!("{}:{}", service.host, port.number);
            let filter =
                connection(&world.mesh, Side::Outbound, &format!("outbound_{name}"), Routes::Named(routes), Vec::new());
            let spoken = lds::FilterChain {
                filter_chain_match: Some(lds::FilterChainMatch {
                    transport_protocol: "raw_buffer".to_owned(),
                    application_protocols: ["http/1.0", "http/1.1", "h2c"].map(str::to_owned).to_vec(),
                    ..Default::default()
                }),
                filters: vec![filter],
                ..Default::default()
            };
            listener.filter_chains = vec![spoken];
            listener.default_filter_chain = Some(plain.clone());
            listener.listener_filters = vec![inspector("tls_inspector"), inspector("http_inspector")];
            listener.listener_filters_timeout = Some(duration(Duration::ZERO));
            listener.continue_on_listener_filters_timeout = true;
        }
        resources.add(Kind::Listener, &name, &listener);
    }
    if !port.protocol.is_opaque() {
        let name = format!("{}:{}", service.host, port.number);
        let asker_routes = sniffed(world, service, port.number);
        resources.add(Kind::Route, &name, &asker_routes);
    }
}

/// Routes of one service alone, for a port whose protocol was not declared.
fn sniffed(world: &World, service: &Service, port: u16) -> rds::RouteConfiguration {
    let nobody = Proxy {
        id: mesh_types::NodeId {
            kind: mesh_types::NodeKind::Sidecar,
            ip: Ipv4Addr::UNSPECIFIED.into(),
            workload: String::new(),
            namespace: service.namespace.clone(),
            domain: String::new(),
        },
        labels: Default::default(),
    };
    let asker = Asker { world, proxy: &nobody, gateway: "mesh", port };
    let host = rds::VirtualHost {
        name: format!("{}:{port}", service.host),
        domains: vec!["*".to_owned()],
        routes: for_service(&asker, service, port),
        include_request_attempt_count: true,
        ..Default::default()
    };
    rds::RouteConfiguration {
        name: format!("{}:{port}", service.host),
        virtual_hosts: vec![host],
        ignore_port_in_host_matching: true,
        validate_clusters: Some(flag(false)),
        ..Default::default()
    }
}

/// The virtual hosts of everything that is served on a port.
fn routes(world: &World, proxy: &Proxy, port: u16) -> rds::RouteConfiguration {
    let asker = Asker { world, proxy, gateway: "mesh", port };
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut hosts: BTreeMap<String, rds::VirtualHost> = BTreeMap::new();
    for service in world.visible(proxy.namespace()) {
        if !service.ports.iter().any(|one| one.number == port && one.protocol.is_http()) {
            continue;
        }
        let domains: Vec<String> =
            domains(service, proxy).into_iter().filter(|name| taken.insert(name.clone())).collect();
        if domains.is_empty() {
            continue;
        }
        let name = format!("{}:{port}", service.host);
        let host = rds::VirtualHost {
            name: name.clone(),
            domains,
            routes: for_service(&asker, service, port),
            include_request_attempt_count: true,
            ..Default::default()
        };
        hosts.insert(name, host);
    }
    let mut virtual_hosts: Vec<_> = hosts.into_values().collect();
    virtual_hosts.push(unknown(world));
    rds::RouteConfiguration {
        name: port.to_string(),
        virtual_hosts,
        ignore_port_in_host_matching: true,
        validate_clusters: Some(flag(false)),
        ..Default::default()
    }
}

/// The VirtualService of a service, or straight to it.
fn for_service(asker: &Asker<'_>, service: &Service, port: u16) -> Vec<rds::Route> {
    let named = asker.virtual_services().into_iter().find(|object| {
        let own = &object.meta.namespace;
        let names = object.spec.hosts.iter().map(|host| asker.world.full_host(host, own));
        !object.spec.http.is_empty() && names.into_iter().any(|host| host_matches(&host, &service.host))
    });
    match named {
        Some(object) => asker.routes(object),
        None => vec![asker.plain(service, port)],
    }
}

/// Every name under which a proxy's application may call a service.
fn domains(service: &Service, proxy: &Proxy) -> Vec<String> {
    let mut names = vec![service.host.clone()];
    if let Some(short) = service.host.strip_suffix(".svc.cluster.local") {
        names.extend([format!("{short}.svc"), short.to_owned()]);
        if service.namespace == proxy.namespace() {
            names.push(service.name.clone());
        }
    }
    names.extend(service.addresses.iter().map(|address| match address {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }));
    names
}

/// What nobody serves passes through, or is refused.
fn unknown(world: &World) -> rds::VirtualHost {
    let (name, action) = if allows_any(world) {
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
