//! CDS: `Cluster`.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as cds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, LbConfig, LbPolicy as Wire,
};
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::UpstreamProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::google::protobuf::{Any, value::Kind};

use super::{At, Invalid, Result, duration, each, endpoint, limit, nothing_else, tls, unpack};
use crate::model::{
    CircuitBreakers, Cluster, ConsistentHash, Discovery, LbPolicy, OutlierDetection, ServiceRef, TcpKeepalive, TlsWhen,
    UpstreamHttp, UpstreamProtocol,
};

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// Envoy's default of circuit breakers where nothing is said.
const BREAKER: u32 = 1024;
/// Envoy's default of retries at a time.
const RETRIES: u32 = 3;
const CONNECT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(3600);

/// A cluster.
#[expect(deprecated, reason = "fields that Istio still writes")]
pub(in crate::xds) fn cluster(mut message: cds::Cluster) -> Result<Cluster> {
    let name: mesh_types::Name = take(&mut message.name).into();
    let metadata = take(&mut message.metadata);
    let discovery = discovery(&mut message, &name)?;
    let connect_timeout = take(&mut message.connect_timeout).map(duration).transpose().at("connect_timeout")?;
    let (locality_weighted, panic_threshold) = common_lb(take(&mut message.common_lb_config)).at("common_lb_config")?;
    let lb = balancing(&mut message)?;
    let mut options = take(&mut message.typed_extension_protocol_options);
    let http = http_options(options.remove(HTTP_OPTIONS)).at("typed_extension_protocol_options")?;
    if let Some(other) = options.keys().next() {
        return Err(Invalid::new(format!("{other} is not supported"))).at("typed_extension_protocol_options");
    }
    let Sockets { tls, proxy_protocol } = sockets(&mut message)?;
    let keepalive =
        take(&mut message.upstream_connection_options).map(keepalive).transpose().at("upstream_connection_options")?;
    let cluster = Cluster {
        name,
        discovery,
        lb,
        locality_weighted,
        panic_threshold,
        connect_timeout: connect_timeout.unwrap_or(CONNECT),
        http,
        tls,
        breakers: breakers(take(&mut message.circuit_breakers)).at("circuit_breakers")?,
        outlier: take(&mut message.outlier_detection).map(outlier).transpose().at("outlier_detection")?,
        keepalive: keepalive.flatten(),
        service: service(metadata.as_ref()),
        bind: take(&mut message.upstream_bind_config).map(bind).transpose().at("upstream_bind_config")?,
        proxy_protocol,
    };
    // Names of statistics, and how DNS is asked, are our own affair.
    message.alt_stat_name.clear();
    message.respect_dns_ttl = false;
    message.dns_lookup_family = 0;
    take(&mut message.dns_refresh_rate);
    nothing_else(&message)?;
    Ok(cluster)
}

fn discovery(message: &mut cds::Cluster, name: &mesh_types::Name) -> Result<Discovery> {
    let kind = match take(&mut message.cluster_discovery_type) {
        None => DiscoveryType::Static,
        Some(ClusterDiscoveryType::Type(kind)) => {
            DiscoveryType::try_from(kind).map_err(|_| Invalid::new(format!("{kind} is no type"))).at("type")?
        }
        Some(ClusterDiscoveryType::ClusterType(kind)) => {
            return Err(Invalid::new(format!("{} is not supported", kind.name))).at("cluster_type");
        }
    };
    let assignment = take(&mut message.load_assignment);
    let eds = take(&mut message.eds_cluster_config);
    Ok(match kind {
        DiscoveryType::Eds => match eds.map(|eds| eds.service_name).filter(|name| !name.is_empty()) {
            Some(service) => Discovery::Eds(service.into()),
            None => Discovery::Eds(name.clone()),
        },
        DiscoveryType::Static => {
            Discovery::Static(Arc::new(endpoint::endpoints(assignment.unwrap_or_default()).at("load_assignment")?))
        }
        DiscoveryType::StrictDns => {
            Discovery::StrictDns(endpoint::names(assignment.unwrap_or_default()).at("load_assignment")?.into())
        }
        DiscoveryType::LogicalDns => {
            Discovery::LogicalDns(endpoint::names(assignment.unwrap_or_default()).at("load_assignment")?.into())
        }
        DiscoveryType::OriginalDst => Discovery::OriginalDst,
    })
}

fn balancing(message: &mut cds::Cluster) -> Result<LbPolicy> {
    let policy = take(&mut message.lb_policy);
    let config = take(&mut message.lb_config);
    Ok(match (Wire::try_from(policy), config) {
        (Ok(Wire::RoundRobin), None | Some(LbConfig::RoundRobinLbConfig(_))) => LbPolicy::RoundRobin,
        (Ok(Wire::LeastRequest), Some(LbConfig::LeastRequestLbConfig(config))) => {
            LbPolicy::LeastRequest(config.choice_count.map_or(2, |count| count.value))
        }
        (Ok(Wire::LeastRequest), None) => LbPolicy::LeastRequest(2),
        (Ok(Wire::Random), None) => LbPolicy::Random,
        (Ok(Wire::RingHash), config) => {
            let config = match config {
                Some(LbConfig::RingHashLbConfig(config)) => config,
                _ => Default::default(),
            };
            let minimum = config.minimum_ring_size.map_or(1024, |size| size.value);
            let maximum = config.maximum_ring_size.map_or(8 << 20, |size| size.value);
            LbPolicy::Hash(ConsistentHash::Ring { minimum, maximum })
        }
        (Ok(Wire::Maglev), config) => {
            let size = match config {
                Some(LbConfig::MaglevLbConfig(config)) => config.table_size.map(|size| size.value),
                _ => None,
            };
            LbPolicy::Hash(ConsistentHash::Maglev(size.unwrap_or(65537)))
        }
        (Ok(Wire::ClusterProvided), None | Some(LbConfig::OriginalDstLbConfig(_))) => LbPolicy::ClusterProvided,
        (other, _) => {
            return Err(Invalid::new(format!("{other:?} with this lb_config is not supported"))).at("lb_policy");
        }
    })
}

fn common_lb(config: Option<cds::cluster::CommonLbConfig>) -> Result<(bool, u8)> {
    let Some(mut config) = config else { return Ok((false, 50)) };
    let panic = take(&mut config.healthy_panic_threshold).map_or(50, |percent| percent.value.clamp(0.0, 100.0) as u8);
    use cds::cluster::common_lb_config::LocalityConfigSpecifier as Locality;
    let weighted = match take(&mut config.locality_config_specifier) {
        None => false,
        Some(Locality::LocalityWeightedLbConfig(_)) => true,
        Some(Locality::ZoneAwareLbConfig(_)) => {
            return Err(Invalid::new("is not supported")).at("zone_aware_lb_config");
        }
    };
    // We take updates as they come.
    take(&mut config.update_merge_window);
    nothing_else(&config)?;
    Ok((weighted, panic))
}

fn http_options(any: Option<Any>) -> Result<UpstreamHttp> {
    let mut found = UpstreamHttp {
        protocol: UpstreamProtocol::Http1,
        idle_timeout: Some(IDLE),
        max_requests_per_connection: 0,
        max_concurrent_streams: u32::MAX,
    };
    let Some(any) = any else { return Ok(found) };
    let mut message: http::HttpProtocolOptions = unpack(&any, HTTP_OPTIONS)?;
    if let Some(mut common) = take(&mut message.common_http_protocol_options) {
        if let Some(idle) = take(&mut common.idle_timeout) {
            found.idle_timeout = limit(Some(idle), "idle_timeout")?;
        }
        found.max_requests_per_connection =
            take(&mut common.max_requests_per_connection).map_or(0, |count| count.value);
        nothing_else(&common).at("common_http_protocol_options")?;
    }
    match take(&mut message.upstream_protocol_options) {
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(config)) => match config.protocol_config {
            None | Some(ProtocolConfig::HttpProtocolOptions(_)) => {}
            Some(ProtocolConfig::Http2ProtocolOptions(options)) => {
                found.protocol = UpstreamProtocol::Http2;
                found.max_concurrent_streams = options.max_concurrent_streams.map_or(u32::MAX, |count| count.value);
            }
            Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                return Err(Invalid::new("is not supported")).at("http3_protocol_options");
            }
        },
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(config)) => {
            found.protocol = UpstreamProtocol::Downstream;
            let most = config.http2_protocol_options.and_then(|options| options.max_concurrent_streams);
            found.max_concurrent_streams = most.map_or(u32::MAX, |count| count.value);
        }
        Some(UpstreamProtocolOptions::AutoConfig(_)) => return Err(Invalid::new("is not supported")).at("auto_config"),
        None => return Err(Invalid::new("must be set")).at("upstream_protocol_options"),
    }
    nothing_else(&message)?;
    Ok(found)
}

/// How connections to a cluster's endpoints begin.
struct Sockets {
    tls: Vec<(TlsWhen, Arc<crate::model::UpstreamTls>)>,
    proxy_protocol: Option<u8>,
}

/// A PROXY header is sent to all endpoints, or to none.
fn sockets(message: &mut cds::Cluster) -> Result<Sockets> {
    let (mut found, mut headers, mut catches_all) = (Vec::new(), Vec::new(), false);
    for (index, mut one) in take(&mut message.transport_socket_matches).into_iter().enumerate() {
        let field = format!("transport_socket_matches[{index}]");
        let criteria = take(&mut one.r#match).unwrap_or_default().fields;
        let istio =
            |value: &envoy_types::pb::google::protobuf::Value| value.kind == Some(Kind::StringValue("istio".into()));
        let when = match criteria.iter().collect::<Vec<_>>().as_slice() {
            [] => TlsWhen::Always,
            [(key, value)] if *key == "tlsMode" && istio(value) => TlsWhen::EndpointTakesMtls,
            _ => return Err(Invalid::new("only tlsMode: istio is supported")).at("match").at(&field),
        };
        let socket = take(&mut one.transport_socket).unwrap_or_default();
        let upstream = tls::upstream(socket).at("transport_socket").at(&field)?;
        headers.push(upstream.proxy_protocol);
        catches_all |= when == TlsWhen::Always;
        found.extend(upstream.tls.map(|tls| (when, tls)));
    }
    if let Some(socket) = take(&mut message.transport_socket) {
        let upstream = tls::upstream(socket).at("transport_socket")?;
        headers.push(upstream.proxy_protocol);
        found.extend(upstream.tls.map(|tls| (TlsWhen::Always, tls)));
    } else if !catches_all {
        // Endpoints that meet no condition are spoken to in plain text.
        headers.push(None);
    }
    let proxy_protocol = headers.first().copied().flatten();
    if headers.iter().any(|header| *header != proxy_protocol) {
        return Err(Invalid::new("a PROXY header goes to all endpoints or to none")).at("transport_socket");
    }
    Ok(Sockets { tls: found, proxy_protocol })
}

fn breakers(message: Option<cds::CircuitBreakers>) -> Result<CircuitBreakers> {
    let mut found = CircuitBreakers {
        max_connections: BREAKER,
        max_pending: BREAKER,
        max_requests: BREAKER,
        max_retries: RETRIES,
        retry_budget: None,
    };
    let Some(mut message) = message else { return Ok(found) };
    let thresholds = take(&mut message.thresholds);
    nothing_else(&message)?;
    each(thresholds, "thresholds", |mut one| {
        if take(&mut one.priority) != 0 {
            return Err(Invalid::new("only the default priority is supported")).at("priority");
        }
        take(&mut one.track_remaining);
        let read = (
            take(&mut one.max_connections),
            take(&mut one.max_pending_requests),
            take(&mut one.max_requests),
            take(&mut one.max_retries),
            take(&mut one.retry_budget),
        );
        nothing_else(&one)?;
        Ok(read)
    })?
    .into_iter()
    .for_each(|(connections, pending, requests, retries, budget)| {
        found.max_connections = connections.map_or(BREAKER, |count| count.value);
        found.max_pending = pending.map_or(BREAKER, |count| count.value);
        found.max_requests = requests.map_or(BREAKER, |count| count.value);
        found.max_retries = retries.map_or(RETRIES, |count| count.value);
        found.retry_budget = budget.map(|budget| {
            let percent = budget.budget_percent.map_or(20.0, |percent| percent.value);
            (percent, budget.min_retry_concurrency.map_or(3, |count| count.value))
        });
    });
    Ok(found)
}

fn outlier(mut message: cds::OutlierDetection) -> Result<OutlierDetection> {
    let count = |value: Option<envoy_types::pb::google::protobuf::UInt32Value>, default| {
        value.map_or(default, |count| count.value)
    };
    let enforced =
        |enforcing: Option<envoy_types::pb::google::protobuf::UInt32Value>, default: u32| count(enforcing, default) > 0;
    let time = |value, default| Ok::<_, Invalid>(limit(value, "interval")?.unwrap_or(Duration::from_secs(default)));
    let five_xx = count(take(&mut message.consecutive_5xx), 5);
    let gateway = count(take(&mut message.consecutive_gateway_failure), 5);
    let local = count(take(&mut message.consecutive_local_origin_failure), 5);
    let found = OutlierDetection {
        consecutive_5xx: if enforced(take(&mut message.enforcing_consecutive_5xx), 100) { five_xx } else { 0 },
        consecutive_gateway: if enforced(take(&mut message.enforcing_consecutive_gateway_failure), 0) {
            gateway
        } else {
            0
        },
        consecutive_local: if enforced(take(&mut message.enforcing_consecutive_local_origin_failure), 100) {
            local
        } else {
            0
        },
        split_local: take(&mut message.split_external_local_origin_errors),
        interval: time(take(&mut message.interval), 10)?,
        base_ejection: time(take(&mut message.base_ejection_time), 30)?,
        max_ejection: time(take(&mut message.max_ejection_time), 300)?,
        max_ejection_percent: count(take(&mut message.max_ejection_percent), 10),
    };
    if enforced(take(&mut message.enforcing_success_rate), 0) {
        return Err(Invalid::new("success rates are not supported; set it to 0")).at("enforcing_success_rate");
    }
    nothing_else(&message)?;
    Ok(found)
}

fn keepalive(mut message: cds::UpstreamConnectionOptions) -> Result<Option<TcpKeepalive>> {
    let wire = take(&mut message.tcp_keepalive);
    nothing_else(&message)?;
    let count = |value: Option<envoy_types::pb::google::protobuf::UInt32Value>| value.map_or(0, |count| count.value);
    Ok(wire.map(|wire| TcpKeepalive {
        probes: count(wire.keepalive_probes),
        time: count(wire.keepalive_time),
        interval: count(wire.keepalive_interval),
    }))
}

fn bind(mut message: core::BindConfig) -> Result<std::net::IpAddr> {
    let mut source = take(&mut message.source_address).unwrap_or_default();
    let ip = take(&mut source.address);
    // The second family's address follows from the first: both are loopback addresses of Istio's choice.
    message.extra_source_addresses.clear();
    nothing_else(&message)?;
    ip.parse().map_err(|_| Invalid::new(format!("{ip:?} is no IP address"))).at("source_address")
}

/// `istio: {services: [{host, name, namespace}]}`.
fn service(metadata: Option<&core::Metadata>) -> Option<ServiceRef> {
    let services = metadata?.filter_metadata.get("istio")?.fields.get("services")?.kind.as_ref()?;
    let Kind::ListValue(list) = services else { return None };
    let Some(Kind::StructValue(first)) = &list.values.first()?.kind else { return None };
    let text = |key: &str| match first.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(mesh_types::Name::from(text.as_str())),
        _ => None,
    };
    Some(ServiceRef { host: text("host")?, name: text("name")?, namespace: text("namespace")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::cluster::v3::cluster::TransportSocketMatch;
    use envoy_types::pb::envoy::config::core::v3::{
        ProxyProtocolConfig, TransportSocket, transport_socket::ConfigType,
    };
    use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
    use prost::Message;

    fn socket(name: &str, message: &impl Message) -> TransportSocket {
        let type_url = format!("type.googleapis.com/envoy.extensions.transport_sockets.{name}");
        let any = Any { type_url, value: message.encode_to_vec() };
        TransportSocket { config_type: Some(ConfigType::TypedConfig(any)), ..Default::default() }
    }

    fn raw() -> TransportSocket {
        socket("raw_buffer.v3.RawBuffer", &())
    }

    /// Plain text behind a PROXY header of this version.
    fn announced(version: i32) -> TransportSocket {
        let config = Some(ProxyProtocolConfig { version, ..Default::default() });
        let message = ProxyProtocolUpstreamTransport { config, transport_socket: Some(raw()), ..Default::default() };
        socket("proxy_protocol.v3.ProxyProtocolUpstreamTransport", &message)
    }

    /// Which header a cluster with these sockets sends: those of matches, which take all or only some endpoints, and its own.
    fn header(matches: Vec<TransportSocket>, takes_all: bool, own: Option<TransportSocket>) -> Result<Option<u8>> {
        let mtls = envoy_types::pb::google::protobuf::Value { kind: Some(Kind::StringValue("istio".to_owned())) };
        let fields = if takes_all { Default::default() } else { [("tlsMode".to_owned(), mtls)].into() };
        let one = |socket| TransportSocketMatch {
            r#match: Some(envoy_types::pb::google::protobuf::Struct { fields: Clone::clone(&fields) }),
            transport_socket: Some(socket),
            ..Default::default()
        };
        let matches = matches.into_iter().map(one).collect();
        let message = cds::Cluster { transport_socket_matches: matches, transport_socket: own, ..Default::default() };
        cluster(message).map(|cluster| cluster.proxy_protocol)
    }

    #[test]
    fn a_header_goes_to_all_endpoints_or_to_none() {
        assert_eq!(header(vec![], true, None), Ok(None));
        assert_eq!(header(vec![], true, Some(announced(0))), Ok(Some(1)));
        assert_eq!(header(vec![announced(1)], true, None), Ok(Some(2)));
        assert_eq!(header(vec![announced(1)], false, Some(announced(1))), Ok(Some(2)));
        for (matches, own) in [(announced(1), None), (announced(1), Some(raw())), (raw(), Some(announced(0)))] {
            let refusal = header(vec![matches], false, own).unwrap_err().to_string();
            assert!(refusal.contains("to all endpoints or to none"), "{refusal}");
        }
        let unknown = header(vec![], true, Some(announced(7))).unwrap_err().to_string();
        assert_eq!(unknown, "transport_socket.config.version: is unknown");
    }
}
