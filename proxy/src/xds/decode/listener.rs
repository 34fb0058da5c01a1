//! LDS: `Listener`.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::TrafficDirection;
use envoy_types::pb::envoy::config::listener::v3 as lds;
use envoy_types::pb::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3 as rbac;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp;
use envoy_types::pb::envoy::r#type::v3::HashPolicy;
use envoy_types::pb::envoy::r#type::v3::hash_policy::PolicySpecifier;

use super::rbac::net;
use super::{At, Invalid, Result, each, http, limit, nothing_else, required, socket_address, tls, type_name, unpack};
use crate::model::{
    ChainMatch, FilterChain, HeaderEdits, Inspect, Listener, ListenerKind, Rbac, TcpProxy, Terminal, Transport,
    WeightedCluster,
};

const PROXY_PROTOCOL: &str = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
const TCP_PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const RBAC: &str = "envoy.extensions.filters.network.rbac.v3.RBAC";
/// Envoy's default of an idle connection.
const IDLE: Duration = Duration::from_secs(3600);

/// Asks the kernel where a redirected connection was meant to go.
const ORIGINAL_DST: &str = "envoy.filters.listener.original_dst";

/// A listener.
#[expect(deprecated, reason = "a field that Istio still writes")]
pub(in crate::xds) fn listener(mut message: lds::Listener) -> Result<Listener> {
    let mut addresses = vec![socket_address(take(&mut message.address)).at("address")?];
    for more in take(&mut message.additional_addresses) {
        addresses.push(socket_address(more.address).at("additional_addresses")?);
    }
    let kind = match TrafficDirection::try_from(take(&mut message.traffic_direction)) {
        Ok(TrafficDirection::Outbound) => ListenerKind::Outbound,
        Ok(TrafficDirection::Inbound) => ListenerKind::Inbound,
        _ => ListenerKind::Gateway,
    };
    let mut bind = take(&mut message.bind_to_port).is_none_or(|flag| flag.value);
    if let Some(deprecated) = take(&mut message.deprecated_v1) {
        bind &= deprecated.bind_to_port.is_none_or(|flag| flag.value);
    }
    let filters = take(&mut message.listener_filters);
    let hands_on = take(&mut message.use_original_dst).is_some_and(|flag| flag.value);
    let redirected = hands_on || filters.iter().any(|filter| filter.name == ORIGINAL_DST);
    let mut inspect = inspect(filters)?;
    inspect.timeout = limit(take(&mut message.listener_filters_timeout), "listener_filters_timeout")?;
    let found = Listener {
        name: take(&mut message.name).into(),
        addresses,
        bind,
        kind,
        redirected,
        inspect,
        chains: each(take(&mut message.filter_chains), "filter_chains", chain)?,
        default_chain: take(&mut message.default_filter_chain).map(chain).transpose().at("default_filter_chain")?,
        access_logs: http::access_logs(take(&mut message.access_log))?,
        last_use: Default::default(),
    };
    // How buffers and sockets are sized is our own affair; a chain is always chosen once the time is up.
    take(&mut message.continue_on_listener_filters_timeout);
    take(&mut message.per_connection_buffer_limit_bytes);
    take(&mut message.enable_reuse_port);
    take(&mut message.stat_prefix);
    take(&mut message.metadata);
    take(&mut message.ignore_global_conn_limit);
    take(&mut message.bypass_overload_manager);
    nothing_else(&message)?;
    Ok(found)
}

fn inspect(filters: Vec<lds::ListenerFilter>) -> Result<Inspect> {
    let mut inspect = Inspect::default();
    for (index, filter) in filters.into_iter().enumerate() {
        match filter.name.as_str() {
            "envoy.filters.listener.tls_inspector" => inspect.tls = true,
            "envoy.filters.listener.http_inspector" => inspect.http = true,
            "envoy.filters.listener.proxy_protocol" => {
                proxy_protocol(filter).at(&format!("listener_filters[{index}]"))?;
                inspect.proxy_protocol = true;
            }
            ORIGINAL_DST => {}
            other => {
                return Err(Invalid::new(format!("{other} is not supported")))
                    .at(&format!("listener_filters[{index}]"));
            }
        }
    }
    Ok(inspect)
}

/// A filter of headers that asks for no more than that there be one.
fn proxy_protocol(filter: lds::ListenerFilter) -> Result<()> {
    let Some(lds::listener_filter::ConfigType::TypedConfig(any)) = filter.config_type else {
        return Err(Invalid::new("must be set")).at("typed_config");
    };
    let mut message: ProxyProtocol = unpack(&any, PROXY_PROTOCOL).at("typed_config")?;
    take(&mut message.stat_prefix);
    nothing_else(&message).at("typed_config")
}

fn chain(mut message: lds::FilterChain) -> Result<Arc<FilterChain>> {
    let name = take(&mut message.name).into();
    let matches = chain_match(take(&mut message.filter_chain_match).unwrap_or_default()).at("filter_chain_match")?;
    let tls = take(&mut message.transport_socket).map(tls::downstream).transpose().at("transport_socket")?.flatten();
    let (mut policies, mut terminal): (Vec<Arc<Rbac>>, _) = (Vec::new(), None);
    for (index, filter) in take(&mut message.filters).into_iter().enumerate() {
        let field = format!("filters[{index}]");
        let Some(lds::filter::ConfigType::TypedConfig(any)) = filter.config_type else {
            return Err(Invalid::new("must be set")).at("typed_config").at(&field);
        };
        match type_name(&any) {
            http::TYPE => terminal = Some(Terminal::Http(Arc::new(http::connection(&any).at(&field)?))),
            TCP_PROXY => {
                let message = unpack(&any, TCP_PROXY).at(&field)?;
                terminal = Some(Terminal::Tcp(Arc::new(tcp_proxy(message).at(&field)?)));
            }
            RBAC => {
                let mut message: rbac::Rbac = unpack(&any, RBAC).at(&field)?;
                let (rules, shadow) = (take(&mut message.rules), take(&mut message.shadow_rules));
                take(&mut message.stat_prefix);
                take(&mut message.shadow_rules_stat_prefix);
                nothing_else(&message).at(&field)?;
                policies.extend(super::rbac::filters(rules, shadow).at(&field)?);
            }
            // What Istio's own extensions do, we do ourselves.
            _ if filter.name.starts_with("istio.") => {}
            other => return Err(Invalid::new(format!("{other} is not supported"))).at(&field),
        }
    }
    take(&mut message.metadata);
    take(&mut message.transport_socket_connect_timeout);
    nothing_else(&message)?;
    let terminal = required(terminal, "filters")?;
    Ok(Arc::new(FilterChain { name, matches, tls, rbac: policies, terminal }))
}

fn chain_match(mut message: lds::FilterChainMatch) -> Result<ChainMatch> {
    let port = take(&mut message.destination_port).map(|port| u16::try_from(port.value)).transpose();
    let transport = match take(&mut message.transport_protocol).as_str() {
        "" => None,
        "tls" => Some(Transport::Tls),
        "raw_buffer" => Some(Transport::Raw),
        other => return Err(Invalid::new(format!("{other:?} is not supported"))).at("transport_protocol"),
    };
    let name = |name: String| -> Box<str> { name.strip_prefix('*').unwrap_or(&name).to_ascii_lowercase().into() };
    let found = ChainMatch {
        destination_port: port.map_err(|_| Invalid::new("is no port")).at("destination_port")?,
        destination: each(take(&mut message.prefix_ranges), "prefix_ranges", |range| net(&range))?,
        server_names: take(&mut message.server_names).into_iter().map(name).collect(),
        transport,
        application_protocols: take(&mut message.application_protocols).into_iter().map(Into::into).collect(),
        source: each(take(&mut message.source_prefix_ranges), "source_prefix_ranges", |range| net(&range))?,
    };
    nothing_else(&message)?;
    Ok(found)
}

fn tcp_proxy(mut message: tcp::TcpProxy) -> Result<TcpProxy> {
    let one = |name: String, weight| WeightedCluster { name: name.into(), weight, edits: HeaderEdits::default() };
    let clusters = match required(take(&mut message.cluster_specifier), "cluster_specifier")? {
        tcp::tcp_proxy::ClusterSpecifier::Cluster(name) => vec![one(name, 1)],
        tcp::tcp_proxy::ClusterSpecifier::WeightedClusters(weighted) => {
            weighted.clusters.into_iter().map(|cluster| one(cluster.name, cluster.weight)).collect()
        }
    };
    if clusters.is_empty() {
        return Err(Invalid::new("must not be empty")).at("weighted_clusters");
    }
    let idle_timeout = match take(&mut message.idle_timeout) {
        None => Some(IDLE),
        Some(idle) => limit(Some(idle), "idle_timeout")?,
    };
    take(&mut message.stat_prefix);
    let found = TcpProxy {
        clusters,
        idle_timeout,
        hashes_source: hashes_source(take(&mut message.hash_policy)).at("hash_policy")?,
        access_logs: http::access_logs(take(&mut message.access_log))?,
    };
    nothing_else(&message)?;
    Ok(found)
}

/// Of a connection nothing is hashed but where it comes from. (Envoy takes one policy.)
fn hashes_source(policies: Vec<HashPolicy>) -> Result<bool> {
    match policies.as_slice() {
        [] => Ok(false),
        [HashPolicy { policy_specifier: Some(PolicySpecifier::SourceIp(_)) }] => Ok(true),
        _ => Err(Invalid::new("only one policy, of the source's address, is supported")),
    }
}
