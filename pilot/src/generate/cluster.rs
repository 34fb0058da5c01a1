//! Clusters.

use std::collections::BTreeSet;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as cds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::common_lb_config::{
    LocalityConfigSpecifier, LocalityWeightedLbConfig,
};
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, EdsClusterConfig, LbConfig, LbPolicy, TransportSocketMatch,
};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
};
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf as pb;
use galley::Object;
use galley::api::{self, ClientTlsMode, SimpleLb};
use mesh_types::{
    BLACK_HOLE_CLUSTER, ClusterName, Direction, INBOUND_PASSTHROUGH_CLUSTER, Labels, PASSTHROUGH_CLUSTER, Protocol,
};

use super::endpoint;
use super::locality::Preference;
use super::policy::Policy;
use super::wire::{ads, any, config_of, duration, exact, metadata, number, structure, text, wildcard};
use crate::kind::Kind;
use crate::proxy::{Proxy, selects};
use crate::resource::{Resource, Resources};
use crate::world::{Instance, Port, Resolution, Service, World, or_default};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const UPSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
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
        circuit_breakers: Some(unlimited()),
        typed_extension_protocol_options: [(HTTP_OPTIONS.to_owned(), options(Spoken::Clients, None))].into(),
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
        circuit_breakers: Some(breakers(&policy)),
        upstream_bind_config: Some(bind()),
        metadata: Some(about(service, None)),
        ..Default::default()
    };
    let spoken = Spoken::of(declared.protocol);
    if spoken != Spoken::Http1 || http.is_some() {
        cluster.typed_extension_protocol_options.insert(HTTP_OPTIONS.to_owned(), options(spoken, http));
    }
    cluster
}

/// Which version of HTTP endpoints are spoken to in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
    /// Whichever the client chose.
    Clients,
}

impl Spoken {
    /// As the port was declared; where it was not, the client knows.
    fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Auto => Self::Clients,
            declared if declared.is_http2() => Self::Http2,
            _ => Self::Http1,
        }
    }
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
    Some(Resource::new(Kind::Cluster, &one.cluster(), mentions))
}

/// The endpoints of a cluster by its name.
pub(super) fn endpoints(world: &World, proxy: &Proxy, name: &str) -> Option<Resource> {
    let one = find(world, proxy, name).filter(Outbound::is_eds)?;
    Some(Resource::new(Kind::Endpoints, &one.assignment(name), Vec::new()))
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
            policy: Policy::of(spec, subset, port.number),
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
            circuit_breakers: Some(breakers(&self.policy)),
            outlier_detection: self.policy.outlier_detection.as_ref().map(outlier),
            metadata: Some(about(self.service, self.rule.map(|rule| config_of("destination-rule", &rule.meta)))),
            common_lb_config: Some(self.common_lb()),
            ..Default::default()
        };
        self.discover(&mut cluster);
        self.balance(&mut cluster);
        self.secure(&mut cluster, &name);
        let http = self.policy.connection_pool.as_ref().and_then(|pool| pool.http.as_ref());
        let spoken = self.spoken(http);
        if spoken != Spoken::Http1 || http.is_some() {
            cluster.typed_extension_protocol_options.insert(HTTP_OPTIONS.to_owned(), options(spoken, http));
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

    fn spoken(&self, pool: Option<&api::HttpPool>) -> Spoken {
        use api::{H2Upgrade, H2UpgradePolicy};
        let asked = pool.map(|pool| pool.h2_upgrade_policy).unwrap_or_default();
        let upgrade = match asked {
            H2Upgrade::Default => self.world.mesh.h2_upgrade_policy == H2UpgradePolicy::Upgrade,
            asked => asked == H2Upgrade::Upgrade,
        };
        match Spoken::of(self.port.protocol) {
            _ if pool.is_some_and(|pool| pool.use_client_protocol) => Spoken::Clients,
            Spoken::Http1 if upgrade && self.port.protocol.is_http() => Spoken::Http2,
            declared => declared,
        }
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

    fn balance(&self, cluster: &mut cds::Cluster) {
        if self.discovery() == DiscoveryType::OriginalDst {
            cluster.lb_policy = LbPolicy::ClusterProvided as i32;
            return;
        }
        let balancer = self.policy.load_balancer.as_ref();
        if let Some(hash) = balancer.and_then(|balancer| balancer.consistent_hash.as_ref()) {
            if let Some(maglev) = &hash.maglev {
                cluster.lb_policy = LbPolicy::Maglev as i32;
                let table_size = maglev.table_size.map(|value| pb::UInt64Value { value });
                cluster.lb_config = Some(LbConfig::MaglevLbConfig(cds::cluster::MaglevLbConfig { table_size }));
            } else {
                cluster.lb_policy = LbPolicy::RingHash as i32;
                let size = hash.ring_hash.as_ref().and_then(|ring| ring.minimum_ring_size).or(hash.minimum_ring_size);
                let minimum_ring_size = Some(pb::UInt64Value { value: size.unwrap_or(1024) });
                cluster.lb_config = Some(LbConfig::RingHashLbConfig(cds::cluster::RingHashLbConfig {
                    minimum_ring_size,
                    ..Default::default()
                }));
            }
            return;
        }
        let policy = match balancer.and_then(|balancer| balancer.simple) {
            Some(SimpleLb::Random) => LbPolicy::Random,
            Some(SimpleLb::RoundRobin) => LbPolicy::RoundRobin,
            // Istio's default.
            _ => LbPolicy::LeastRequest,
        };
        cluster.lb_policy = policy as i32;
    }

    fn common_lb(&self) -> CommonLbConfig {
        let least =
            self.policy.outlier_detection.as_ref().and_then(|outlier| outlier.min_health_percent).unwrap_or_default();
        let weighted = LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {});
        CommonLbConfig {
            healthy_panic_threshold: Some(Percent { value: f64::from(least) }),
            locality_config_specifier: self.preference().is_shared_out().then_some(weighted),
            ..Default::default()
        }
    }

    /// Automatic mutual TLS to those who take it, unless the rule says otherwise.
    fn secure(&self, cluster: &mut cds::Cluster, name: &ClusterName) {
        let Some(settings) = &self.policy.tls else { return self.secure_automatically(cluster, name) };
        match settings.mode {
            ClientTlsMode::Disable => {}
            ClientTlsMode::IstioMutual => {
                let sni = if settings.sni.is_empty() { name.sni() } else { settings.sni.clone() };
                cluster.transport_socket = Some(self.istio(&sni, &settings.subject_alt_names));
            }
            ClientTlsMode::Simple | ClientTlsMode::Mutual => {
                let alpn: &[&str] = if self.port.protocol.is_http2() { &["h2"] } else { &[] };
                cluster.transport_socket = Some(originate(settings, self.service, alpn));
            }
        }
    }

    /// By what each endpoint says. Of an endpoint that the caller chose itself nothing is known, so that all of them must
    /// take it (Istio's rule for headless services).
    fn secure_automatically(&self, cluster: &mut cds::Cluster, name: &ClusterName) {
        if self.service.external || !self.world.mesh.enable_auto_mtls.unwrap_or(true) {
            return;
        }
        if self.discovery() == DiscoveryType::OriginalDst {
            let mut all = self.instances().peekable();
            if all.peek().is_some() && all.all(|instance| instance.takes_mtls) {
                cluster.transport_socket = Some(self.istio(&name.sni(), &[]));
            }
            return;
        }
        cluster.transport_socket_matches = vec![TransportSocketMatch {
            name: "tlsMode-istio".to_owned(),
            r#match: Some(structure([("tlsMode", text("istio"))])),
            transport_socket: Some(self.istio(&name.sni(), &[])),
        }];
    }

    /// Istio's mutual TLS: the endpoint must be one of the service's own accounts.
    fn istio(&self, sni: &str, names: &[String]) -> core::TransportSocket {
        let uri = |instance: &Instance| {
            let (namespace, account) = (&instance.namespace, &instance.service_account);
            format!("spiffe://{}/ns/{namespace}/sa/{account}", self.world.trust_domain)
        };
        let known = self.instances().filter(|instance| !instance.service_account.is_empty());
        let mut own: BTreeSet<String> = known.map(uri).collect();
        own.extend(self.service.subject_alt_names.iter().cloned());
        let sans = if names.is_empty() {
            own.iter().map(|name| san(name)).collect()
        } else {
            names.iter().map(|name| san(name)).collect()
        };
        let combined = tls::common_tls_context::CombinedCertificateValidationContext {
            default_validation_context: Some(tls::CertificateValidationContext {
                match_typed_subject_alt_names: sans,
                ..Default::default()
            }),
            validation_context_sds_secret_config: Some(sds("ROOTCA")),
            ..Default::default()
        };
        let spoken = match self.port.protocol {
            declared if declared.is_http2() => Some("istio-h2"),
            declared if declared.is_http() => Some("istio-http/1.1"),
            _ => None,
        };
        let alpn = spoken.into_iter().chain(["istio-peer-exchange", "istio"]).map(str::to_owned).collect();
        let common = tls::CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![sds("default")],
            alpn_protocols: alpn,
            validation_context_type: Some(tls::common_tls_context::ValidationContextType::CombinedValidationContext(
                combined,
            )),
            ..Default::default()
        };
        socket(&tls::UpstreamTlsContext { common_tls_context: Some(common), sni: sni.to_owned(), ..Default::default() })
    }
}

/// The limits of a policy.
fn breakers(policy: &Policy) -> cds::CircuitBreakers {
    let pool = policy.connection_pool.as_ref();
    let (tcp, http) = (pool.and_then(|pool| pool.tcp.as_ref()), pool.and_then(|pool| pool.http.as_ref()));
    let limit = |value: Option<u32>| Some(number(value.filter(|value| *value > 0).unwrap_or(u32::MAX)));
    let budget = policy.retry_budget.as_ref().map(|budget| cds::circuit_breakers::thresholds::RetryBudget {
        budget_percent: budget.percent.as_ref().map(|percent| Percent { value: percent.value }),
        min_retry_concurrency: budget.min_retry_concurrency.map(number),
        ..Default::default()
    });
    let thresholds = cds::circuit_breakers::Thresholds {
        max_connections: limit(tcp.and_then(|tcp| tcp.max_connections)),
        max_pending_requests: limit(http.and_then(|http| http.http1_max_pending_requests)),
        max_requests: limit(http.and_then(|http| http.http2_max_requests)),
        max_retries: limit(http.and_then(|http| http.max_retries)),
        retry_budget: budget,
        ..Default::default()
    };
    cds::CircuitBreakers { thresholds: vec![thresholds], ..Default::default() }
}

/// A name that a certificate may have. `*.suffix` stands for every name with that suffix.
fn san(name: &str) -> tls::SubjectAltNameMatcher {
    use tls::subject_alt_name_matcher::SanType;
    let kind = if name.contains("://") { SanType::Uri } else { SanType::Dns };
    let matcher = if name.starts_with('*') { wildcard(name) } else { exact(name) };
    tls::SubjectAltNameMatcher { san_type: kind as i32, matcher: Some(matcher), ..Default::default() }
}

/// TLS that the proxy begins on the application's behalf. Where the rule does not say whom to ask for and whom to accept,
/// it is the host.
fn originate(settings: &api::ClientTls, service: &Service, alpn: &[&str]) -> core::TransportSocket {
    let root = match settings.ca_certificates.as_str() {
        "" | "system" => "file-root:system".to_owned(),
        file => format!("file-root:{file}"),
    };
    let asked = if settings.sni.is_empty() { service.host.clone() } else { settings.sni.clone() };
    let said = or_default(&settings.subject_alt_names, &service.subject_alt_names);
    let sans = or_default(said, std::slice::from_ref(&asked)).iter().map(|name| san(name)).collect();
    // A server name has no wildcards.
    let sni = if asked.starts_with('*') { String::new() } else { asked.clone() };
    let combined = tls::common_tls_context::CombinedCertificateValidationContext {
        default_validation_context: Some(tls::CertificateValidationContext {
            match_typed_subject_alt_names: sans,
            ..Default::default()
        }),
        validation_context_sds_secret_config: Some(sds(&root)),
        ..Default::default()
    };
    let verified = !settings.insecure_skip_verify.unwrap_or(false);
    let own = format!("file-cert:{}~{}", settings.client_certificate, settings.private_key);
    let certificates = if settings.mode == ClientTlsMode::Mutual { vec![sds(&own)] } else { Vec::new() };
    let common = tls::CommonTlsContext {
        tls_certificate_sds_secret_configs: certificates,
        alpn_protocols: alpn.iter().map(|word| (*word).to_owned()).collect(),
        validation_context_type: verified
            .then_some(tls::common_tls_context::ValidationContextType::CombinedValidationContext(combined)),
        ..Default::default()
    };
    socket(&tls::UpstreamTlsContext { common_tls_context: Some(common), sni, ..Default::default() })
}

pub(super) fn sds(name: &str) -> tls::SdsSecretConfig {
    tls::SdsSecretConfig { name: name.to_owned(), sds_config: Some(ads()) }
}

fn socket(context: &tls::UpstreamTlsContext) -> core::TransportSocket {
    core::TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(any(UPSTREAM_TLS, context))),
    }
}

fn options(spoken: Spoken, pool: Option<&api::HttpPool>) -> pb::Any {
    let http2 = || core::Http2ProtocolOptions {
        max_concurrent_streams: pool.and_then(|pool| pool.max_concurrent_streams).map(number),
        ..Default::default()
    };
    let explicit =
        |config| UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(config) });
    let options = match spoken {
        Spoken::Http1 => explicit(ProtocolConfig::HttpProtocolOptions(core::Http1ProtocolOptions::default())),
        Spoken::Http2 => explicit(ProtocolConfig::Http2ProtocolOptions(http2())),
        Spoken::Clients => UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
            http_protocol_options: Some(core::Http1ProtocolOptions::default()),
            http2_protocol_options: Some(http2()),
            ..Default::default()
        }),
    };
    let common = pool.map(|pool| core::HttpProtocolOptions {
        idle_timeout: pool.idle_timeout.map(duration),
        max_requests_per_connection: pool.max_requests_per_connection.filter(|count| *count > 0).map(number),
        ..Default::default()
    });
    let message = http::HttpProtocolOptions {
        common_http_protocol_options: common,
        upstream_protocol_options: Some(options),
        ..Default::default()
    };
    any(HTTP_OPTIONS, &message)
}

fn unlimited() -> cds::CircuitBreakers {
    let most = Some(number(u32::MAX));
    let thresholds = cds::circuit_breakers::Thresholds {
        max_connections: most,
        max_pending_requests: most,
        max_requests: most,
        max_retries: most,
        ..Default::default()
    };
    cds::CircuitBreakers { thresholds: vec![thresholds], ..Default::default() }
}

/// What Istio's rule says, with what it leaves to Envoy switched off: success rates, and limits on gateway errors unless
/// they are asked for.
fn outlier(rule: &api::OutlierDetection) -> cds::OutlierDetection {
    let five_xx = rule.consecutive_5xx_errors.or(rule.consecutive_errors);
    let enforced = |on: bool| Some(number(if on { 100 } else { 0 }));
    cds::OutlierDetection {
        consecutive_5xx: five_xx.map(number),
        enforcing_consecutive_5xx: enforced(five_xx != Some(0)),
        consecutive_gateway_failure: rule.consecutive_gateway_errors.map(number),
        enforcing_consecutive_gateway_failure: enforced(rule.consecutive_gateway_errors.is_some_and(|count| count > 0)),
        consecutive_local_origin_failure: rule.consecutive_local_origin_failures.map(number),
        split_external_local_origin_errors: rule.split_external_local_origin_errors,
        interval: rule.interval.map(duration),
        base_ejection_time: rule.base_ejection_time.map(duration),
        max_ejection_percent: rule.max_ejection_percent.map(number),
        enforcing_success_rate: Some(number(0)),
        ..Default::default()
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
