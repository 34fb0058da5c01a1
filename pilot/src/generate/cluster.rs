//! Clusters: which there are, and where their endpoints are found. How these are chosen, secured, limited and spoken to is
//! in the files below.

mod balance;
mod limits;
mod secure;
mod version;

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as cds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy,
};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::google::protobuf as pb;
use galley::Object;
use galley::api::{self, SimpleLb};
use mesh_types::{
    BLACK_HOLE_CLUSTER, ClusterName, Direction, INBOUND_PASSTHROUGH_CLUSTER, Labels, PASSTHROUGH_CLUSTER,
};

use self::version::{HTTP_OPTIONS, Version};
use super::endpoint;
use super::locality::Preference;
use super::policy::Policy;
use super::wire::{ads, config_of, duration, metadata, number, structure, text};
use crate::kind::Kind;
use crate::proxy::{Proxy, selects};
use crate::resource::{Resource, Resources};
use crate::world::{Instance, Port, Resolution, Service, World};

/// Istio's default.
const CONNECT: Duration = Duration::from_secs(10);
/// Where inbound connections come from, so that iptables can tell them from the application's own.
pub(super) const INBOUND_SOURCE: &str = "127.0.0.6";

/// The clusters that every proxy has.
pub(super) fn fixed(resources: &mut Resources) {
    let original = |name: &str| cds::Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32)),
        lb_policy: LbPolicy::ClusterProvided as i32,
        connect_timeout: Some(duration(CONNECT)),
        circuit_breakers: Some(limits::none()),
        typed_extension_protocol_options: [(HTTP_OPTIONS.to_owned(), version::options(Version::Clients, None))].into(),
        ..Default::default()
    };
    resources.add(Kind::Cluster, PASSTHROUGH_CLUSTER, &original(PASSTHROUGH_CLUSTER));
    let inbound = cds::Cluster { upstream_bind_config: Some(bind()), ..original(INBOUND_PASSTHROUGH_CLUSTER) };
    resources.add(Kind::Cluster, INBOUND_PASSTHROUGH_CLUSTER, &inbound);
    let nothing = cds::Cluster {
        name: BLACK_HOLE_CLUSTER.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static as i32)),
        connect_timeout: Some(duration(CONNECT)),
        ..Default::default()
    };
    resources.add(Kind::Cluster, BLACK_HOLE_CLUSTER, &nothing);
}

fn bind() -> core::BindConfig {
    let source = core::SocketAddress {
        address: INBOUND_SOURCE.to_owned(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(0)),
        ..Default::default()
    };
    core::BindConfig { source_address: Some(source), ..Default::default() }
}

/// The cluster of a port of the workload itself. What the service's own DestinationRule says of its connections holds
/// here too, so that the workload is guarded against callers without a proxy (Istio's rule).
pub(super) fn inbound(world: &World, service: &Service, declared: &Port, port: u16) -> cds::Cluster {
    let rule = world.destination_rule(service, &service.namespace);
    let policy = Policy::of(rule.map(|rule| &*rule.spec), "", declared.number);
    let pool = policy.connection_pool.as_ref();
    let (tcp, http) = (pool.and_then(|pool| pool.tcp.as_ref()), pool.and_then(|pool| pool.http.as_ref()));
    let mut cluster = cds::Cluster {
        name: ClusterName::inbound(port).to_string(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32)),
        lb_policy: LbPolicy::ClusterProvided as i32,
        connect_timeout: Some(duration(tcp.and_then(|tcp| tcp.connect_timeout).unwrap_or(CONNECT))),
        circuit_breakers: Some(limits::of(&policy)),
        upstream_bind_config: Some(bind()),
        metadata: Some(about(service, None)),
        ..Default::default()
    };
    let version = Version::of(declared.protocol);
    if version != Version::Http1 || http.is_some() {
        cluster.typed_extension_protocol_options.insert(HTTP_OPTIONS.to_owned(), version::options(version, http));
    }
    cluster
}

/// A cluster for every visible port and subset, with its endpoints.
pub(super) fn outbound(world: &World, proxy: &Proxy, resources: &mut Resources) {
    for service in world.visible(proxy) {
        of_service(world, proxy, service, resources);
    }
}

/// The clusters of a service, with their endpoints.
pub(super) fn of_service(world: &World, proxy: &Proxy, service: &Service, resources: &mut Resources) {
    let rule = world.destination_rule(service, proxy.namespace());
    let subsets = rule.map(|rule| rule.spec.subsets.as_slice()).unwrap_or_default();
    for port in &service.ports {
        for subset in std::iter::once("").chain(subsets.iter().map(|one| one.name.as_str())) {
            if let Some(one) = Outbound::new(world, proxy, service, port, rule, subset) {
                one.add_to(resources);
            }
        }
    }
}

/// A cluster by its name.
pub(super) fn named(world: &World, proxy: &Proxy, name: &str) -> Option<Resource> {
    let one = find(world, proxy, name)?;
    let mentions = if one.is_eds() { vec![(Kind::Endpoints, name.to_owned())] } else { Vec::new() };
    Some(Resource::new(Kind::Cluster, &one.cluster()).mentioning(mentions).about([&*one.service.host]))
}

/// The endpoints of a cluster by its name.
pub(super) fn endpoints(world: &World, proxy: &Proxy, name: &str) -> Option<Resource> {
    let one = find(world, proxy, name).filter(Outbound::is_eds)?;
    Some(Resource::new(Kind::Endpoints, &one.assignment(name)).about([&*one.service.host]))
}

/// Adds a cluster with its endpoints, unless it is there.
pub(super) fn add(world: &World, proxy: &Proxy, name: &str, resources: &mut Resources) {
    if resources.get(Kind::Cluster, name).is_none()
        && let Some(one) = find(world, proxy, name)
    {
        one.add_to(resources);
    }
}

/// Found whether a `Sidecar` names it or not: a route that is seen leads where it leads.
fn find<'a>(world: &'a World, proxy: &'a Proxy, name: &str) -> Option<Outbound<'a>> {
    let name: ClusterName = name.parse().ok().filter(|name: &ClusterName| name.direction == Direction::Outbound)?;
    let service = world.service(proxy, &name.host)?;
    let port = service.ports.iter().find(|port| port.number == name.port)?;
    let rule = world.destination_rule(service, proxy.namespace());
    Outbound::new(world, proxy, service, port, rule, &name.subset)
}

struct Outbound<'a> {
    world: &'a World,
    proxy: &'a Proxy,
    service: &'a Service,
    port: &'a Port,
    subset: &'a str,
    labels: Option<&'a Labels>,
    policy: Policy,
    rule: Option<&'a Object<api::DestinationRule>>,
}

impl<'a> Outbound<'a> {
    /// A port of a service, or a subset of it; `None` if the rule has no such subset.
    fn new(
        world: &'a World,
        proxy: &'a Proxy,
        service: &'a Service,
        port: &'a Port,
        rule: Option<&'a Object<api::DestinationRule>>,
        subset: &str,
    ) -> Option<Self> {
        let spec = rule.map(|rule| &*rule.spec);
        let named = spec.and_then(|spec| spec.subsets.iter().find(|one| one.name == subset));
        if named.is_none() && !subset.is_empty() {
            return None;
        }
        Some(Self {
            world,
            proxy,
            service,
            port,
            subset: named.map_or("", |one| &one.name),
            labels: named.map(|one| &one.labels),
            policy: Policy::of(spec, subset, port.number).keeping_callers_of(service),
            rule,
        })
    }

    /// Adds the cluster, with its endpoints if they are served apart.
    fn add_to(&self, resources: &mut Resources) {
        let cluster = self.cluster();
        resources.add(Kind::Cluster, &cluster.name, &cluster);
        if self.is_eds() {
            resources.add(Kind::Endpoints, &cluster.name, &self.assignment(&cluster.name));
        }
    }

    fn assignment(&self, name: &str) -> ClusterLoadAssignment {
        endpoint::assignment(name, self.preference().arrange(self.proxy, self.instances()))
    }

    /// Those that the subset selects.
    fn instances(&self) -> impl Iterator<Item = &'a Instance> {
        let labels = self.labels;
        let instances = self.port.instances.iter();
        instances.filter(move |instance| labels.is_none_or(|labels| selects(labels, &instance.labels)))
    }

    fn preference(&self) -> Preference<'_> {
        Preference::of(self.world, self.proxy, self.service, &self.policy)
    }

    fn is_eds(&self) -> bool {
        self.discovery() == DiscoveryType::Eds
    }

    /// A caller that chose its endpoint itself is taken at its word; a gateway's never did.
    fn discovery(&self) -> DiscoveryType {
        let simple = self.policy.load_balancer.as_ref().and_then(|balancer| balancer.simple);
        match self.service.resolution {
            _ if simple == Some(SimpleLb::Passthrough) => DiscoveryType::OriginalDst,
            Resolution::Passthrough => DiscoveryType::OriginalDst,
            Resolution::Headless if !self.proxy.is_gateway() => DiscoveryType::OriginalDst,
            Resolution::Headless | Resolution::Endpoints => DiscoveryType::Eds,
            Resolution::Dns => DiscoveryType::StrictDns,
            Resolution::OneOfDns => DiscoveryType::LogicalDns,
        }
    }

    fn cluster(&self) -> cds::Cluster {
        let name = ClusterName::outbound(&self.service.host, self.port.number, self.subset);
        let tcp = self.policy.connection_pool.as_ref().and_then(|pool| pool.tcp.as_ref());
        let mut cluster = cds::Cluster {
            name: name.to_string(),
            connect_timeout: Some(duration(
                tcp.and_then(|tcp| tcp.connect_timeout).or(self.world.mesh.connect_timeout).unwrap_or(CONNECT),
            )),
            circuit_breakers: Some(limits::of(&self.policy)),
            outlier_detection: self.policy.outlier_detection.as_ref().map(limits::ejection),
            metadata: Some(about(self.service, self.rule.map(|rule| config_of("destination-rule", &rule.meta)))),
            common_lb_config: Some(self.common_lb()),
            ..Default::default()
        };
        self.discover(&mut cluster);
        self.balance(&mut cluster);
        self.secure(&mut cluster, &name);
        self.announce_callers(&mut cluster);
        let http = self.policy.connection_pool.as_ref().and_then(|pool| pool.http.as_ref());
        let version = self.version(http);
        if version != Version::Http1 || http.is_some() {
            cluster.typed_extension_protocol_options.insert(HTTP_OPTIONS.to_owned(), version::options(version, http));
        }
        let keepalive = tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref()).or(self.world.mesh.tcp_keepalive.as_ref());
        cluster.upstream_connection_options = keepalive.map(|keepalive| {
            let seconds = |time: Duration| number(u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
            let keepalive = core::TcpKeepalive {
                keepalive_probes: keepalive.probes.map(number),
                keepalive_time: keepalive.time.map(seconds),
                keepalive_interval: keepalive.interval.map(seconds),
            };
            cds::UpstreamConnectionOptions { tcp_keepalive: Some(keepalive), ..Default::default() }
        });
        cluster
    }

    fn discover(&self, cluster: &mut cds::Cluster) {
        let kind = self.discovery();
        match kind {
            DiscoveryType::Eds => {
                let service_name = cluster.name.clone();
                cluster.eds_cluster_config = Some(EdsClusterConfig { eds_config: Some(ads()), service_name });
            }
            DiscoveryType::StrictDns | DiscoveryType::LogicalDns => {
                cluster.load_assignment = Some(self.assignment(&cluster.name));
            }
            DiscoveryType::OriginalDst | DiscoveryType::Static => {}
        }
        cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(kind as i32));
    }
}

/// Who the cluster is, for metrics and for people.
fn about(service: &Service, config: Option<String>) -> core::Metadata {
    let one = structure([
        ("host", text(&service.host)),
        ("name", text(&service.name)),
        ("namespace", text(&service.namespace)),
    ]);
    let one = pb::Value { kind: Some(pb::value::Kind::StructValue(one)) };
    let list = pb::Value { kind: Some(pb::value::Kind::ListValue(pb::ListValue { values: vec![one] })) };
    let mut fields = structure([("services", list)]);
    if let Some(config) = config {
        fields.fields.insert("config".to_owned(), text(&config));
    }
    metadata("istio", fields)
}
