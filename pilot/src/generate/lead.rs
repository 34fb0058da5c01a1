//! Where connections that are carried as bytes lead: by the TLS and TCP rules of VirtualServices, or straight to their
//! service.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::listener::v3 as lds;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::weighted_cluster::ClusterWeight;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
    ClusterSpecifier, WeightedCluster,
};
use galley::Object;
use galley::api::{self, MeshConfig};
use ipnet::IpNet;
use mesh_types::ClusterName;

use super::http::{Terms, tcp_proxy_to};
use super::policy::Policy;
use super::route::{Asker, Place};
use super::wire::number;
use crate::world::{Port, Service};

/// Where some connections lead.
pub(super) struct Lead {
    /// Those that ask for one of these server names; all if there are none.
    pub(super) server_names: Vec<String>,
    /// Those to one of these networks; all if there are none.
    subnets: Vec<IpNet>,
    /// Those from this network.
    source: Option<IpNet>,
    /// Clusters by weight; never empty.
    to: Vec<(String, u32)>,
    /// What the DestinationRule of the first of them says.
    terms: Terms,
}

impl Lead {
    /// For every connection, to these clusters.
    fn all_to(asker: &Asker<'_>, to: Vec<(String, u32)>) -> Self {
        let terms = to.first().and_then(|(cluster, _)| terms(asker, cluster)).unwrap_or_default();
        Self { server_names: Vec::new(), subnets: Vec::new(), source: None, to, terms }
    }

    /// The same for connections that name this host, where nothing was said of names. A host that stands for all names
    /// takes all.
    pub(super) fn named(mut self, host: &str) -> Self {
        if self.server_names.is_empty() && host != "*" {
            self.server_names.push(host.to_owned());
        }
        self
    }

    /// The same for connections to these networks, where nothing was said of any.
    pub(super) fn within(mut self, networks: &[IpNet]) -> Self {
        if self.subnets.is_empty() {
            self.subnets = networks.to_vec();
        }
        self
    }

    /// True if it takes every connection.
    pub(super) fn takes_all(&self) -> bool {
        self.server_names.is_empty() && self.subnets.is_empty() && self.source.is_none()
    }

    /// The clusters that it leads to.
    pub(super) fn clusters(&self) -> impl Iterator<Item = &String> {
        self.to.iter().map(|(name, _)| name)
    }

    /// Its filter chain.
    pub(super) fn chain(&self, mesh: &MeshConfig) -> lds::FilterChain {
        let condition = lds::FilterChainMatch {
            server_names: self.server_names.clone(),
            prefix_ranges: self.subnets.iter().map(range).collect(),
            source_prefix_ranges: self.source.iter().map(range).collect(),
            ..Default::default()
        };
        lds::FilterChain {
            filter_chain_match: (!self.takes_all()).then_some(condition),
            filters: vec![self.filter(mesh)],
            ..Default::default()
        }
    }

    /// The filter that carries the bytes.
    pub(super) fn filter(&self, mesh: &MeshConfig) -> lds::Filter {
        let prefix = self.to.first().map_or("", |(name, _)| name);
        let specifier = match self.to.as_slice() {
            [(only, _)] => ClusterSpecifier::Cluster(only.clone()),
            several => {
                let weight = |(name, weight): &(String, u32)| ClusterWeight {
                    name: name.clone(),
                    weight: *weight,
                    ..Default::default()
                };
                ClusterSpecifier::WeightedClusters(WeightedCluster { clusters: several.iter().map(weight).collect() })
            }
        };
        tcp_proxy_to(mesh, specifier, prefix, &self.terms)
    }
}

/// The leads of a service's port as a sidecar's application calls it. The last one takes what no rule does, unless a rule
/// about TLS says which names there are.
pub(super) fn of_service(asker: &Asker<'_>, service: &Service, port: &Port) -> Vec<Lead> {
    let is_tls = port.protocol.is_tls();
    let about = asker.about(service);
    let says = |object: &&&Object<api::VirtualService>| {
        if is_tls { !object.spec.tls.is_empty() } else { !object.spec.tcp.is_empty() }
    };
    let mut leads: Vec<Lead> = match about.iter().find(says) {
        Some(object) if is_tls => rules(&object.spec.tls, |rule| tls(asker, rule, &object.meta.namespace)),
        Some(object) => rules(&object.spec.tcp, |rule| tcp(asker, rule, &object.meta.namespace)),
        None => Vec::new(),
    };
    let named = is_tls && !leads.is_empty();
    if !named && !leads.iter().any(Lead::takes_all) {
        let cluster = ClusterName::outbound(&service.host, port.number, "").to_string();
        leads.push(Lead::all_to(asker, vec![(cluster, 1)]));
    }
    distinct(leads)
}

fn rules<R>(rules: &[R], leads: impl Fn(&R) -> Vec<Lead>) -> Vec<Lead> {
    rules.iter().flat_map(leads).collect()
}

/// The leads of connections to a gateway's server, by the VirtualServices that it admits: by server name where TLS passes
/// through, else by the first TCP rule.
pub(super) fn of_gateway(
    asker: &Asker<'_>,
    server_names: &[String],
    passes_tls: bool,
    admits: impl Fn(&Object<api::VirtualService>) -> bool,
) -> Vec<Lead> {
    let mut leads = Vec::new();
    for object in asker.virtual_services().into_iter().filter(|object| admits(object)) {
        let own = &*object.meta.namespace;
        if passes_tls {
            let within = |lead: &Lead| {
                let covers = |name: &String| {
                    server_names.is_empty()
                        || server_names.iter().any(|one| one == name || crate::world::host_matches(one, name))
                };
                lead.server_names.iter().all(covers)
            };
            leads.extend(object.spec.tls.iter().flat_map(|rule| tls(asker, rule, own)).filter(within));
        }
        let tcp = object.spec.tcp.iter().flat_map(|rule| tcp(asker, rule, own));
        leads.extend(tcp.map(|lead| Lead { server_names: server_names.to_vec(), ..lead }));
    }
    distinct(leads)
}

/// Of leads under one condition the first counts.
pub(super) fn distinct(leads: Vec<Lead>) -> Vec<Lead> {
    let mut seen = BTreeSet::new();
    leads
        .into_iter()
        .filter(|lead| seen.insert((lead.server_names.clone(), lead.subnets.clone(), lead.source)))
        .collect()
}

fn tls(asker: &Asker<'_>, rule: &api::TlsRoute, own: &str) -> Vec<Lead> {
    let concerns = |one: &&api::TlsMatch| {
        asker.is_at(&Place {
            port: one.port,
            source_labels: &one.source_labels,
            source_namespace: &one.source_namespace,
            gateways: &one.gateways,
            own,
        })
    };
    let to = weights(asker, &rule.route, own);
    if to.is_empty() {
        return Vec::new();
    }
    let lead = |one: &api::TlsMatch| Lead {
        server_names: one.sni_hosts.iter().filter(|name| *name != "*").cloned().collect(),
        subnets: networks(&one.destination_subnets),
        ..Lead::all_to(asker, to.clone())
    };
    rule.matches.iter().filter(concerns).map(lead).collect()
}

fn tcp(asker: &Asker<'_>, rule: &api::TcpRoute, own: &str) -> Vec<Lead> {
    let to = weights(asker, &rule.route, own);
    if to.is_empty() {
        return Vec::new();
    }
    if rule.matches.is_empty() {
        return vec![Lead::all_to(asker, to)];
    }
    let concerns = |one: &&api::TcpMatch| {
        asker.is_at(&Place {
            port: one.port,
            source_labels: &one.source_labels,
            source_namespace: &one.source_namespace,
            gateways: &one.gateways,
            own,
        })
    };
    let lead = |one: &api::TcpMatch| Lead {
        subnets: networks(&one.destination_subnets),
        source: network(&one.source_subnet),
        ..Lead::all_to(asker, to.clone())
    };
    rule.matches.iter().filter(concerns).map(lead).collect()
}

/// Clusters with their weights; those without weight get nothing.
fn weights(asker: &Asker<'_>, route: &[api::RouteDestination], own: &str) -> Vec<(String, u32)> {
    let one = |to: &api::RouteDestination| Some((asker.cluster(to.destination.as_ref()?, own), to.weight.unwrap_or(0)));
    match route {
        [only] => one(only).map(|(name, _)| (name, 1)).into_iter().collect(),
        several => several.iter().filter_map(one).filter(|(_, weight)| *weight > 0).collect(),
    }
}

/// What the DestinationRule of a cluster says of its connections.
fn terms(asker: &Asker<'_>, cluster: &str) -> Option<Terms> {
    let name: ClusterName = cluster.parse().ok()?;
    let service = asker.world.service(asker.proxy, &name.host)?;
    let rule = asker.world.destination_rule(service, asker.proxy.namespace());
    let policy = Policy::of(rule.map(|rule| &*rule.spec), &name.subset, name.port).keeping_callers_of(service);
    let hash = policy.load_balancer.and_then(|balancer| balancer.consistent_hash);
    Some(Terms {
        idle: policy.connection_pool.and_then(|pool| pool.tcp?.idle_timeout),
        by_source: hash.is_some_and(|hash| hash.use_source_ip),
    })
}

/// Addresses and networks; what is neither was refused when it was read.
fn networks(texts: &[String]) -> Vec<IpNet> {
    texts.iter().filter_map(|text| network(text)).collect()
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

fn range(network: &IpNet) -> CidrRange {
    CidrRange {
        address_prefix: network.network().to_string(),
        prefix_len: Some(number(u32::from(network.prefix_len()))),
    }
}
