//! Gateways: listeners at the edge, with the routes of the VirtualServices that name them.

mod routes;
mod secrets;
mod tls;

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as lds;
use galley::api::{self, IntOrString, ServerTlsMode};
use mesh_types::Protocol;
use prost::Message;

use super::authorization::Policies;
use super::http::{PROXY_PROTOCOL, Routes, Side, TLS_INSPECTOR, connection, listener_filters};
use super::lead::{self, Lead};
use super::outbound::every;
use super::route::Asker;
use super::wire::address;
use crate::kind::Kind;
use crate::proxy::{Proxy, selects};
use crate::resource::Resources;
use crate::world::World;

/// A server of a Gateway, with the gateway's name.
struct Served<'a> {
    /// `namespace/name`.
    gateway: String,
    namespace: &'a str,
    name: &'a str,
    /// The port as the Gateway and its VirtualServices have it.
    number: u16,
    server: &'a api::Server,
}

impl Served<'_> {
    /// The namespace whose VirtualServices may bind (`*`: any), and the host.
    fn hosts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.server.hosts.iter().map(|host| host.split_once('/').unwrap_or(("*", host)))
    }

    /// It answers that HTTPS is to be used.
    fn redirects(&self) -> bool {
        self.server.tls.as_ref().is_some_and(|tls| tls.https_redirect) && is_plain_http(self.server)
    }

    /// The name of its routes, as Istio has it; `index` stands for a port without a name.
    fn routes(&self, index: usize) -> String {
        let port = self.server.port.as_ref().map(|port| port.name.clone()).filter(|name| !name.is_empty());
        let port = port.unwrap_or_else(|| index.to_string());
        format!("https.{}.{port}.{}.{}", self.number, self.name, self.namespace)
    }
}

/// All listeners of a gateway with their routes.
pub(super) fn listeners(world: &World, proxy: &Proxy, resources: &mut Resources) {
    let policies = Policies::of(world, proxy);
    for (port, servers) in by_port(world, proxy) {
        let chains: Vec<_> = servers
            .iter()
            .enumerate()
            .filter(|(_, one)| !is_plain_http(one.server))
            .flat_map(|(index, one)| chains((world, proxy, &policies), port, index, one, resources))
            .collect();
        let plain: Vec<&Served<'_>> = servers.iter().filter(|one| is_plain_http(one.server)).collect();
        let mut filter_chains = chains;
        if !plain.is_empty() {
            let name = format!("http.{port}");
            resources.add(Kind::Route, &name, &routes::of_servers(world, proxy, &name, &plain));
            let filter = http((world, proxy), &policies, port, name);
            filter_chains.push(lds::FilterChain { filters: vec![filter], ..Default::default() });
        }
        let filter_chains = first_of_each(filter_chains);
        if filter_chains.is_empty() {
            continue;
        }
        let name = format!("0.0.0.0_{port}");
        let [first, second] = every(port);
        let listener = lds::Listener {
            name: name.clone(),
            address: Some(address(first)),
            additional_addresses: vec![lds::AdditionalAddress { address: Some(address(second)), ..Default::default() }],
            listener_filters: first_looks(proxy, plain.len() < servers.len()),
            filter_chains,
            traffic_direction: core::TrafficDirection::Unspecified as i32,
            ..Default::default()
        };
        resources.add(Kind::Listener, &name, &listener);
    }
}

/// Of chains that would take the same connections the first stays, which is that of the oldest Gateway. Envoy refuses a
/// listener that has two.
fn first_of_each(chains: Vec<lds::FilterChain>) -> Vec<lds::FilterChain> {
    let mut taken = BTreeSet::new();
    let mut is_first = |name: &str, rest: &lds::FilterChainMatch| taken.insert((name.to_owned(), rest.encode_to_vec()));
    let mut kept = Vec::new();
    for mut chain in chains {
        let mut rest = chain.filter_chain_match.clone().unwrap_or_default();
        let names = std::mem::take(&mut rest.server_names);
        let own: Vec<String> = names.iter().filter(|name| is_first(name, &rest)).cloned().collect();
        if !own.is_empty() {
            rest.server_names = own;
            chain.filter_chain_match = Some(rest);
            kept.push(chain);
        } else if names.is_empty() && is_first("", &rest) {
            kept.push(chain);
        }
    }
    kept
}

/// The servers of the Gateways that select a proxy, the oldest first, by the port on which it listens for them.
fn by_port<'a>(world: &'a World, proxy: &Proxy) -> BTreeMap<u16, Vec<Served<'a>>> {
    let mut by_port: BTreeMap<u16, Vec<Served<'_>>> = BTreeMap::new();
    let mut gateways: Vec<_> = world.objects.gateways.iter().collect();
    gateways.sort_by(|(_, one), (_, other)| one.meta.precedence().cmp(&other.meta.precedence()));
    for (key, object) in gateways {
        if !selects(&object.spec.selector, &proxy.labels) {
            continue;
        }
        for server in &object.spec.servers {
            let Some(number) = server.port.as_ref().map(|port| port.number) else { continue };
            for port in own_ports(world, proxy, number) {
                by_port.entry(port).or_default().push(Served {
                    gateway: format!("{}/{}", key.namespace, key.name),
                    namespace: &key.namespace,
                    name: &key.name,
                    number,
                    server,
                });
            }
        }
    }
    by_port
}

/// Where a gateway's workload listens for a port: where the Services in front of it send what comes to that port, which
/// is how 80 and 443 reach a process that may not open them. The port itself without such a Service.
fn own_ports(world: &World, proxy: &Proxy, number: u16) -> BTreeSet<u16> {
    let in_front = world.objects.services.values().filter(|object| {
        let selector = &object.spec.spec.selector;
        *object.meta.namespace == *proxy.namespace() && !selector.is_empty() && selects(selector, &proxy.labels)
    });
    let ports = in_front.flat_map(|object| object.spec.spec.ports.iter().filter(|port| port.port == number));
    let mut found: BTreeSet<u16> = ports
        .filter_map(|port| match &port.target_port {
            None => Some(number),
            Some(IntOrString::Int(target)) => Some(*target),
            Some(IntOrString::String(_)) => None,
        })
        .collect();
    // What a name means, the workload's pod says.
    let served = world.served_by(proxy.ip()).iter();
    found.extend(served.filter(|one| one.service_port == number).map(|one| one.port));
    if found.is_empty() {
        found.insert(number);
    }
    found
}

/// What is read ahead of a connection's chain: who calls, if something stands before the gateway that says so, and which
/// server is asked for, if one of them takes TLS.
fn first_looks(proxy: &Proxy, any_tls: bool) -> Vec<lds::ListenerFilter> {
    let header = proxy.topology().proxy_protocol.as_ref().map(|_| PROXY_PROTOCOL);
    let filters: Vec<_> = header.into_iter().chain(any_tls.then_some(TLS_INSPECTOR)).collect();
    listener_filters(&filters)
}

/// Reads connections of a port as HTTP, under the workload's policies, with the routes of this name.
fn http((world, proxy): (&World, &Proxy), policies: &Policies, port: u16, routes: String) -> lds::Filter {
    let prefix = format!("outbound_0.0.0.0_{port}");
    connection(&world.mesh, Side::Gateway(proxy.topology()), &prefix, Routes::Named(routes), policies.http())
}

fn protocol(server: &api::Server) -> Protocol {
    let word = server.port.as_ref().map(|port| port.protocol.as_str()).unwrap_or_default();
    Protocol::parse(word).unwrap_or(Protocol::Tcp)
}

/// A server of HTTP in clear text, whose TLS settings can only redirect.
fn is_plain_http(server: &api::Server) -> bool {
    protocol(server).is_http() && server.tls.as_ref().is_none_or(|tls| tls.https_redirect)
}

/// The chains of a server that does not speak plain HTTP.
fn chains(
    (world, proxy, policies): (&World, &Proxy, &Policies),
    port: u16,
    index: usize,
    one: &Served<'_>,
    resources: &mut Resources,
) -> Vec<lds::FilterChain> {
    let settings = one.server.tls.as_ref();
    let names = server_names(one);
    let passes_tls = settings.is_some_and(|settings| settings.mode == ServerTlsMode::Passthrough);
    let socket = settings.filter(|_| !passes_tls).map(tls::transport_socket);
    for credential in settings.into_iter().flat_map(tls::credentials) {
        secrets::add(world, proxy.namespace(), credential, resources);
    }
    if protocol(one.server).is_http() || protocol(one.server) == Protocol::Https && !passes_tls {
        let name = one.routes(index);
        resources.add(Kind::Route, &name, &routes::of_servers(world, proxy, &name, &[one]));
        let condition =
            (!names.is_empty()).then(|| lds::FilterChainMatch { server_names: names, ..Default::default() });
        return vec![lds::FilterChain {
            filter_chain_match: condition,
            filters: vec![http((world, proxy), policies, port, name)],
            transport_socket: socket,
            ..Default::default()
        }];
    }
    let asker = Asker { world, proxy, gateway: &one.gateway, port: one.number };
    let admits = |object: &_| !routes::admitted(world, one, object).is_empty();
    let leads = lead::of_gateway(&asker, &names, passes_tls, admits);
    let chain = |lead: &Lead| {
        let chain = lead.chain(&world.mesh);
        let filters = policies.network().into_iter().chain(chain.filters).collect();
        lds::FilterChain { filters, transport_socket: socket.clone(), ..chain }
    };
    leads.iter().map(chain).collect()
}

fn server_names(served: &Served<'_>) -> Vec<String> {
    let hosts: Vec<String> = served.hosts().map(|(_, host)| host.to_owned()).collect();
    // Only TLS tells a name.
    if served.server.tls.is_none() || hosts.iter().any(|host| host == "*") { Vec::new() } else { hosts }
}
