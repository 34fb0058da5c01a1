//! What a sidecar does with calls to its application.

use std::collections::BTreeMap;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as lds;
use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use galley::api::{MeshConfig, MtlsMode, TlsProtocol};
use mesh_types::{BLACK_HOLE_CLUSTER, ClusterName, INBOUND_PASSTHROUGH_CLUSTER, Protocol, ports};

use super::authorization::Policies;
use super::cluster;
use super::http::{
    HTTP_INSPECTOR, ORIGINAL_DESTINATION, Routes, Side, TLS_INSPECTOR, connection, listener_filters, tcp_proxy,
};
use super::outbound::every;
use super::route::prefix;
use super::secret::sds;
use super::wire::{address, any, duration, flag, number};
use crate::kind::Kind;
use crate::proxy::Proxy;
use crate::resource::Resources;
use crate::world::{Modes, Port, Service, World};

const DOWNSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
/// How Istio's own mutual TLS introduces itself.
const ISTIO_ALPN: [&str; 5] = ["istio-http/1.0", "istio-http/1.1", "istio-h2", "istio", "istio-peer-exchange"];

/// Those of them that announce HTTP.
const HTTP_ALPN: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// The inbound listener with its clusters.
pub(super) fn listener(world: &World, proxy: &Proxy, resources: &mut Resources) {
    let policies = Policies::of(world, proxy);
    let mut chains = vec![blackhole(world)];
    let mut sniffs = false;
    let modes = Modes::of(&world.objects, world.root_namespace());
    let mode = |port| modes.mode(proxy.namespace(), &proxy.labels, port);
    let served = served(world, proxy);
    for (&port, &(service, declared)) in &served {
        let protocol = declared.protocol;
        resources.add(
            Kind::Cluster,
            &ClusterName::inbound(port).to_string(),
            &cluster::inbound(world, service, declared, port),
        );
        sniffs |= protocol == Protocol::Auto;
        let one = Inbound { world, policies: &policies, port, cluster: ClusterName::inbound(port).to_string() };
        chains.extend(one.chains(protocol, mode(port)));
    }
    // Ports that no service declares: those of which a policy speaks, and all others.
    let spoken_of = modes.ports(proxy.namespace(), &proxy.labels).filter(|port| !served.contains_key(port));
    for port in spoken_of.chain([0]) {
        let rest = Inbound { world, policies: &policies, port, cluster: INBOUND_PASSTHROUGH_CLUSTER.to_owned() };
        chains.extend(rest.chains(Protocol::Tcp, mode(port)));
    }
    let asked = [ORIGINAL_DESTINATION, TLS_INSPECTOR, HTTP_INSPECTOR];
    let asked = if sniffs { &asked[..] } else { &asked[..2] };
    let [first, second] = every(ports::INBOUND);
    let listener = lds::Listener {
        name: "virtualInbound".to_owned(),
        address: Some(address(first)),
        additional_addresses: vec![lds::AdditionalAddress { address: Some(address(second)), ..Default::default() }],
        traffic_direction: core::TrafficDirection::Inbound as i32,
        filter_chains: chains,
        listener_filters: listener_filters(asked),
        listener_filters_timeout: Some(duration(world.mesh.protocol_detection_timeout.unwrap_or_default())),
        continue_on_listener_filters_timeout: true,
        ..Default::default()
    };
    resources.add(Kind::Listener, "virtualInbound", &listener);
}

/// A connection made to the proxy's own port would go round in circles.
fn blackhole(world: &World) -> lds::FilterChain {
    lds::FilterChain {
        name: "virtualInbound-blackhole".to_owned(),
        filter_chain_match: Some(lds::FilterChainMatch {
            destination_port: Some(number(u32::from(ports::INBOUND))),
            ..Default::default()
        }),
        filters: vec![tcp_proxy(&world.mesh, BLACK_HOLE_CLUSTER)],
        ..Default::default()
    }
}

/// The ports of the workload that some service names, each with the first service that does.
fn served<'a>(world: &'a World, proxy: &Proxy) -> BTreeMap<u16, (&'a Service, &'a Port)> {
    let mut found = BTreeMap::new();
    for served in world.served_by(proxy.ip()) {
        for service in world.services.registered(&served.host) {
            let port = service.ports.iter().find(|port| port.number == served.service_port);
            if let Some(port) = port {
                found.entry(served.port).or_insert((service, port));
            }
        }
    }
    found
}

/// One port of the workload; port 0 stands for all others.
struct Inbound<'a> {
    world: &'a World,
    policies: &'a Policies,
    port: u16,
    cluster: String,
}

impl Inbound<'_> {
    fn chains(&self, protocol: Protocol, mode: MtlsMode) -> Vec<lds::FilterChain> {
        let mut chains = Vec::new();
        if mode != MtlsMode::Disable {
            let secure = lds::FilterChainMatch {
                transport_protocol: "tls".to_owned(),
                application_protocols: if mode == MtlsMode::Strict {
                    Vec::new()
                } else {
                    ISTIO_ALPN.map(str::to_owned).to_vec()
                },
                ..self.condition()
            };
            chains.extend(self.by_protocol(protocol, &secure, Some(&mutual_tls(&self.world.mesh))));
        }
        if mode != MtlsMode::Strict {
            chains.extend(self.by_protocol(protocol, &self.condition(), None));
        }
        chains
    }

    fn condition(&self) -> lds::FilterChainMatch {
        let destination_port = (self.port != 0).then(|| number(u32::from(self.port)));
        lds::FilterChainMatch { destination_port, ..Default::default() }
    }

    /// HTTP, bytes or, undeclared, whichever is spoken. Over mutual TLS the ALPN says which.
    fn by_protocol(
        &self,
        protocol: Protocol,
        condition: &lds::FilterChainMatch,
        socket: Option<&core::TransportSocket>,
    ) -> Vec<lds::FilterChain> {
        let chain = |condition: lds::FilterChainMatch, filters: Vec<lds::Filter>| lds::FilterChain {
            name: format!("{}{}", self.cluster, if socket.is_some() { "-mtls" } else { "" }),
            filter_chain_match: Some(condition),
            filters,
            transport_socket: socket.cloned(),
            ..Default::default()
        };
        if protocol.is_http() {
            return vec![chain(condition.clone(), vec![self.http()])];
        }
        let mut chains = Vec::new();
        if protocol == Protocol::Auto {
            let spoken: &[&str] = if socket.is_some() { &HTTP_ALPN } else { &["http/1.0", "http/1.1", "h2c"] };
            let transport = if socket.is_some() { "tls" } else { "raw_buffer" };
            let condition = lds::FilterChainMatch {
                transport_protocol: transport.to_owned(),
                application_protocols: spoken.iter().map(|word| (*word).to_owned()).collect(),
                ..condition.clone()
            };
            chains.push(chain(condition, vec![self.http()]));
        }
        let mut rest = condition.clone();
        if protocol == Protocol::Auto && socket.is_some() && !rest.application_protocols.is_empty() {
            rest.application_protocols.retain(|word| !HTTP_ALPN.contains(&word.as_str()));
        }
        let filters: Vec<_> =
            self.policies.network().into_iter().chain([tcp_proxy(&self.world.mesh, &self.cluster)]).collect();
        if socket.is_some() {
            chains.push(chain(rest, filters));
            return chains;
        }
        // Plain bytes, and TLS that is the application's own: chains that name no transport give way to those that do.
        for transport in ["raw_buffer", "tls"] {
            let rest = lds::FilterChainMatch { transport_protocol: transport.to_owned(), ..rest.clone() };
            chains.push(chain(rest, filters.clone()));
        }
        chains
    }

    fn http(&self) -> lds::Filter {
        let action = rds::RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(self.cluster.clone())),
            timeout: Some(duration(Duration::ZERO)),
            ..Default::default()
        };
        let route = rds::Route {
            name: "default".to_owned(),
            r#match: Some(prefix("/")),
            action: Some(Action::Route(action)),
            ..Default::default()
        };
        let host = rds::VirtualHost {
            name: format!("inbound|http|{}", self.port),
            domains: vec!["*".to_owned()],
            routes: vec![route],
            ..Default::default()
        };
        let config = rds::RouteConfiguration {
            name: self.cluster.clone(),
            virtual_hosts: vec![host],
            validate_clusters: Some(flag(false)),
            ..Default::default()
        };
        let prefix = format!("inbound_0.0.0.0_{}", self.port);
        connection(&self.world.mesh, Side::Inbound, &prefix, Routes::Inline(Box::new(config)), self.policies.http())
    }
}

/// What is agreed on, in order. Envoy knows HTTP/2 by the IANA's word alone: by `istio-h2` it would read HTTP/1. What is
/// left is bytes, to callers that say no more than that they are Istio's.
pub(super) const SERVED_ALPN: [&str; 3] = ["h2", "http/1.1", "istio"];

/// Callers must show a certificate of the mesh.
fn mutual_tls(mesh: &MeshConfig) -> core::TransportSocket {
    let least = match mesh.mesh_mtls.as_ref().map(|settings| settings.min_protocol_version) {
        Some(TlsProtocol::V1_3) => tls::tls_parameters::TlsProtocol::TlSv13,
        _ => tls::tls_parameters::TlsProtocol::TlSv12,
    };
    let context = tls::DownstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![sds("default")],
            validation_context_type: Some(
                tls::common_tls_context::ValidationContextType::ValidationContextSdsSecretConfig(sds("ROOTCA")),
            ),
            alpn_protocols: SERVED_ALPN.map(str::to_owned).to_vec(),
            tls_params: Some(tls::TlsParameters { tls_minimum_protocol_version: least as i32, ..Default::default() }),
            ..Default::default()
        }),
        require_client_certificate: Some(flag(true)),
        ..Default::default()
    };
    core::TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(any(DOWNSTREAM_TLS, &context))),
    }
}
