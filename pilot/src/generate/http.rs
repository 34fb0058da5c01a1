//! How a connection is read as HTTP, and what is logged.

use std::time::Duration;

use envoy_types::pb::envoy::config::accesslog::v3 as log;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as lds;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3 as file;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::Cors;
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::HttpFault;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp;
use envoy_types::pb::envoy::r#type::v3::HashPolicy;
use envoy_types::pb::envoy::r#type::v3::hash_policy::{PolicySpecifier, SourceIp};
use galley::api::{AccessLogEncoding, ForwardClientCertDetails, GatewayTopology, MeshConfig, PathNormalizationKind};

use super::wire::{ads, any, duration, flag, ordered_any};
use crate::ordered::FILE_ACCESS_LOG;

const HCM: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP_PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const FILE: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
/// Istio's line.
const LINE: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

/// Which side a connection comes from.
#[derive(Clone, Copy)]
pub(super) enum Side<'a> {
    Outbound,
    Inbound,
    /// To a gateway, before which this stands.
    Gateway(&'a GatewayTopology),
}

/// Where routes are.
pub(super) enum Routes {
    Named(String),
    Inline(Box<RouteConfiguration>),
}

/// The HTTP filter of a chain.
pub(super) fn connection(
    mesh: &MeshConfig,
    side: Side<'_>,
    stat_prefix: &str,
    routes: Routes,
    policies: Vec<hcm::HttpFilter>,
) -> lds::Filter {
    let specifier = match routes {
        Routes::Named(name) => RouteSpecifier::Rds(hcm::Rds { config_source: Some(ads()), route_config_name: name }),
        Routes::Inline(config) => RouteSpecifier::RouteConfig(*config),
    };
    let mut http_filters = policies;
    http_filters
        .push(filter("envoy.filters.http.cors", any("envoy.extensions.filters.http.cors.v3.Cors", &Cors::default())));
    http_filters.push(filter(
        "envoy.filters.http.fault",
        any("envoy.extensions.filters.http.fault.v3.HTTPFault", &HttpFault::default()),
    ));
    http_filters.push(filter(
        "envoy.filters.http.router",
        any("envoy.extensions.filters.http.router.v3.Router", &Router::default()),
    ));
    use hcm::http_connection_manager::ForwardClientCertDetails as Forward;
    let forward = match side {
        Side::Outbound => Forward::Sanitize,
        Side::Inbound => Forward::AppendForward,
        Side::Gateway(topology) => match topology.forward_client_cert_details {
            ForwardClientCertDetails::Sanitize => Forward::Sanitize,
            ForwardClientCertDetails::ForwardOnly => Forward::ForwardOnly,
            ForwardClientCertDetails::AppendForward => Forward::AppendForward,
            ForwardClientCertDetails::Undefined | ForwardClientCertDetails::SanitizeSet => Forward::SanitizeSet,
            ForwardClientCertDetails::AlwaysForwardOnly => Forward::AlwaysForwardOnly,
        },
    };
    let (is_gateway, trusted_hops) = match side {
        Side::Gateway(topology) => (true, topology.num_trusted_proxies.unwrap_or_default()),
        _ => (false, 0),
    };
    let normalization =
        mesh.path_normalization.as_ref().map_or(PathNormalizationKind::Default, |path| path.normalization);
    let message = hcm::HttpConnectionManager {
        stat_prefix: stat_prefix.to_owned(),
        route_specifier: Some(specifier),
        http_filters,
        access_log: access_log(mesh),
        use_remote_address: Some(flag(is_gateway)),
        xff_num_trusted_hops: trusted_hops,
        normalize_path: Some(flag(normalization != PathNormalizationKind::None)),
        merge_slashes: matches!(
            normalization,
            PathNormalizationKind::MergeSlashes | PathNormalizationKind::DecodeAndMergeSlashes
        ),
        path_with_escaped_slashes_action: if normalization == PathNormalizationKind::DecodeAndMergeSlashes {
            4
        } else {
            0
        },
        forward_client_cert_details: forward as i32,
        set_current_client_cert_details: (!matches!(side, Side::Outbound)).then(told_of_certificates),
        server_name: "istio-envoy".to_owned(),
        server_header_transformation: if is_gateway { 0 } else { 2 },
        stream_idle_timeout: Some(duration(Duration::ZERO)),
        upgrade_configs: vec![hcm::http_connection_manager::UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            ..Default::default()
        }],
        http_protocol_options: Some(core::Http1ProtocolOptions { accept_http_10: true, ..Default::default() }),
        ..Default::default()
    };
    network("envoy.filters.network.http_connection_manager", any(HCM, &message))
}

/// What `x-forwarded-client-cert` tells besides hash and issuer: who the caller is, as Istio has it told.
fn told_of_certificates() -> hcm::http_connection_manager::SetCurrentClientCertDetails {
    hcm::http_connection_manager::SetCurrentClientCertDetails {
        subject: Some(flag(true)),
        uri: true,
        dns: true,
        ..Default::default()
    }
}

/// The TCP filter of a chain that leads to one cluster.
pub(super) fn tcp_proxy(mesh: &MeshConfig, cluster: &str) -> lds::Filter {
    let to = tcp::tcp_proxy::ClusterSpecifier::Cluster(cluster.to_owned());
    tcp_proxy_to(mesh, to, cluster, &Terms::default())
}

/// What a DestinationRule says of connections that are carried as bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// Closed after so long without a byte (`connectionPool.tcp.idleTimeout`); Envoy's hour if absent.
    pub(super) idle: Option<Duration>,
    /// Those of one caller stay together (`consistentHash.useSourceIp`).
    pub(super) by_source: bool,
}

/// The TCP filter of a chain.
pub(super) fn tcp_proxy_to(
    mesh: &MeshConfig,
    to: tcp::tcp_proxy::ClusterSpecifier,
    prefix: &str,
    terms: &Terms,
) -> lds::Filter {
    let by_source = HashPolicy { policy_specifier: Some(PolicySpecifier::SourceIp(SourceIp {})) };
    let message = tcp::TcpProxy {
        stat_prefix: prefix.to_owned(),
        cluster_specifier: Some(to),
        idle_timeout: terms.idle.map(duration),
        hash_policy: terms.by_source.then_some(by_source).into_iter().collect(),
        access_log: access_log(mesh),
        ..Default::default()
    };
    network("envoy.filters.network.tcp_proxy", any(TCP_PROXY, &message))
}

pub(super) fn network(name: &str, config: envoy_types::pb::google::protobuf::Any) -> lds::Filter {
    lds::Filter { name: name.to_owned(), config_type: Some(lds::filter::ConfigType::TypedConfig(config)) }
}

pub(super) fn filter(name: &str, config: envoy_types::pb::google::protobuf::Any) -> hcm::HttpFilter {
    let config_type = Some(hcm::http_filter::ConfigType::TypedConfig(config));
    hcm::HttpFilter { name: name.to_owned(), config_type, ..Default::default() }
}

/// A listener filter that needs no settings, by its name and that of its message.
pub(super) type Filter = (&'static str, &'static str);
pub(super) const TLS_INSPECTOR: Filter = ("tls_inspector", "TlsInspector");
pub(super) const HTTP_INSPECTOR: Filter = ("http_inspector", "HttpInspector");
/// Asks where connections were meant to go, and no more: a listener with `use_original_dst` would hand them to the one of
/// calls from the workload to that port, whence they would come back for ever.
pub(super) const ORIGINAL_DESTINATION: Filter = ("original_dst", "OriginalDst");
/// Who calls, by a header of the PROXY protocol.
pub(super) const PROXY_PROTOCOL: Filter = ("proxy_protocol", "ProxyProtocol");

/// Listener filters without settings.
pub(super) fn listener_filters(filters: &[Filter]) -> Vec<lds::ListenerFilter> {
    let filter = |(name, message): &Filter| {
        let config = any(&format!("envoy.extensions.filters.listener.{name}.v3.{message}"), &());
        lds::ListenerFilter {
            name: format!("envoy.filters.listener.{name}"),
            config_type: Some(lds::listener_filter::ConfigType::TypedConfig(config)),
            ..Default::default()
        }
    };
    filters.iter().map(filter).collect()
}

fn access_log(mesh: &MeshConfig) -> Vec<log::AccessLog> {
    use core::substitution_format_string::Format;
    if mesh.access_log_file.is_empty() {
        return Vec::new();
    }
    let line = if mesh.access_log_format.is_empty() { LINE } else { &mesh.access_log_format };
    let format = if mesh.access_log_encoding == AccessLogEncoding::Json {
        Format::JsonFormat(json_format(&mesh.access_log_format))
    } else {
        let specifier = Some(core::data_source::Specifier::InlineString(line.to_owned()));
        Format::TextFormatSource(core::DataSource { specifier, ..Default::default() })
    };
    let message = file::FileAccessLog {
        path: mesh.access_log_file.clone(),
        access_log_format: Some(file::file_access_log::AccessLogFormat::LogFormat(core::SubstitutionFormatString {
            format: Some(format),
            ..Default::default()
        })),
    };
    vec![log::AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        config_type: Some(log::access_log::ConfigType::TypedConfig(ordered_any(FILE, &message, &FILE_ACCESS_LOG))),
        ..Default::default()
    }]
}

/// The user's JSON of strings (anything else was refused when it was read), or Istio's fields.
fn json_format(format: &str) -> envoy_types::pb::google::protobuf::Struct {
    let own: Option<std::collections::BTreeMap<String, String>> = serde_json::from_str(format).ok();
    let fields = own.unwrap_or_else(|| {
        let pairs = [
            ("start_time", "%START_TIME%"),
            ("method", "%REQ(:METHOD)%"),
            ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
            ("protocol", "%PROTOCOL%"),
            ("response_code", "%RESPONSE_CODE%"),
            ("response_flags", "%RESPONSE_FLAGS%"),
            ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
            ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
            ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
            ("bytes_received", "%BYTES_RECEIVED%"),
            ("bytes_sent", "%BYTES_SENT%"),
            ("duration", "%DURATION%"),
            ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
            ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
            ("user_agent", "%REQ(USER-AGENT)%"),
            ("request_id", "%REQ(X-REQUEST-ID)%"),
            ("authority", "%REQ(:AUTHORITY)%"),
            ("upstream_host", "%UPSTREAM_HOST%"),
            ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
            ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
            ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
            ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
            ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
            ("route_name", "%ROUTE_NAME%"),
        ];
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    });
    let fields = fields.into_iter().map(|(key, value)| (key, super::wire::text(&value)));
    envoy_types::pb::google::protobuf::Struct { fields: fields.collect() }
}
