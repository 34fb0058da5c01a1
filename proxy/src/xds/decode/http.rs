//! `HttpConnectionManager`.

use std::mem::take;
use std::sync::Arc;

use envoy_types::pb::envoy::config::accesslog::v3 as log;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3 as file;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3 as rbac;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager as inner;
use envoy_types::pb::google::protobuf::{Any, value::Kind};

use super::{At, Invalid, Result, each, limit, nothing_else, required, route, type_name, unpack};
use crate::model::{
    AccessLog, AccessLogFormat, CodecType, ForwardClientCert, HttpConnection, HttpFilters, RouteSource,
};
use crate::record::LogFormat;

pub(super) const TYPE: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";
const RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
const FAULT: &str = "envoy.extensions.filters.http.fault.v3.HTTPFault";
const CORS: &str = "envoy.extensions.filters.http.cors.v3.Cors";
const GRPC_STATS: &str = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig";
const FILE_LOG: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
/// Envoy's own line.
const DEFAULT_LINE: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// How a connection is read as HTTP.
pub(super) fn connection(any: &Any) -> Result<HttpConnection> {
    let mut message: hcm::HttpConnectionManager = unpack(any, TYPE)?;
    let routes = match required(take(&mut message.route_specifier), "route_specifier")? {
        inner::RouteSpecifier::Rds(rds) => RouteSource::Rds(rds.route_config_name.into()),
        inner::RouteSpecifier::RouteConfig(config) => {
            RouteSource::Inline(Arc::new(route::route_config(config).at("route_config")?))
        }
        inner::RouteSpecifier::ScopedRoutes(_) => return Err(Invalid::new("is not supported")).at("scoped_routes"),
    };
    let stat_prefix: mesh_types::Name = take(&mut message.stat_prefix).into();
    let codec = match take(&mut message.codec_type) {
        0 => CodecType::Auto,
        1 => CodecType::Http1,
        2 => CodecType::Http2,
        _ => return Err(Invalid::new("HTTP/3 is not supported")).at("codec_type"),
    };
    let use_remote_address = take(&mut message.use_remote_address).is_some_and(|flag| flag.value);
    let http1 = take(&mut message.http_protocol_options).unwrap_or_default();
    let mut common = take(&mut message.common_http_protocol_options).unwrap_or_default();
    let idle_timeout = match take(&mut common.idle_timeout) {
        None => Some(std::time::Duration::from_secs(3600)),
        Some(idle) => limit(Some(idle), "common_http_protocol_options.idle_timeout")?,
    };
    take(&mut common.headers_with_underscores_action);
    nothing_else(&common).at("common_http_protocol_options")?;
    let server_name = take(&mut message.server_name);
    let pass_server = take(&mut message.server_header_transformation) == 2;
    let stream_idle_timeout = match take(&mut message.stream_idle_timeout) {
        None => Some(std::time::Duration::from_secs(300)),
        Some(idle) => limit(Some(idle), "stream_idle_timeout")?,
    };
    let found = HttpConnection {
        stat_prefix,
        codec,
        routes,
        filters: filters(take(&mut message.http_filters))?,
        access_logs: access_logs(take(&mut message.access_log))?,
        normalize_path: take(&mut message.normalize_path).is_some_and(|flag| flag.value),
        merge_slashes: take(&mut message.merge_slashes),
        unescape_slashes: matches!(take(&mut message.path_with_escaped_slashes_action), 3 | 4),
        use_remote_address,
        xff_trusted_hops: take(&mut message.xff_num_trusted_hops),
        forward_client_cert: client_certificate(&mut message)?,
        server_name: (!pass_server).then(|| if server_name.is_empty() { "envoy".into() } else { server_name.into() }),
        generate_request_id: take(&mut message.generate_request_id).is_none_or(|flag| flag.value),
        idle_timeout,
        stream_idle_timeout,
        request_headers_timeout: limit(take(&mut message.request_headers_timeout), "request_headers_timeout")?,
        http10: http1.accept_http_10,
        upgrades: take(&mut message.upgrade_configs)
            .into_iter()
            .filter(|one| one.enabled.is_none_or(|flag| flag.value))
            .map(|one| one.upgrade_type.to_ascii_lowercase().into())
            .collect(),
        max_head: take(&mut message.max_request_headers_kb).map_or(60, |size| size.value as usize).clamp(1, 8192)
            * 1024,
    };
    // Traces are not made yet, and HTTP/2's own windows are ours to choose.
    take(&mut message.tracing);
    take(&mut message.http2_protocol_options);
    take(&mut message.preserve_external_request_id);
    take(&mut message.delayed_close_timeout);
    take(&mut message.request_id_extension);
    take(&mut message.proxy_100_continue);
    nothing_else(&message)?;
    Ok(found)
}

fn client_certificate(message: &mut hcm::HttpConnectionManager) -> Result<ForwardClientCert> {
    // Which parts of the certificate are told: ours are the hash, the subject and the URIs.
    take(&mut message.set_current_client_cert_details);
    Ok(match take(&mut message.forward_client_cert_details) {
        0 => ForwardClientCert::Sanitize,
        1 => ForwardClientCert::ForwardOnly,
        2 => ForwardClientCert::AppendForward,
        3 => ForwardClientCert::SanitizeSet,
        4 => ForwardClientCert::AlwaysForwardOnly,
        _ => return Err(Invalid::new("is unknown")).at("forward_client_cert_details"),
    })
}

fn filters(messages: Vec<hcm::HttpFilter>) -> Result<HttpFilters> {
    let mut found = HttpFilters::default();
    let mut routed = false;
    for (index, message) in messages.into_iter().enumerate() {
        let field = format!("http_filters[{index}]");
        let Some(hcm::http_filter::ConfigType::TypedConfig(any)) = message.config_type else {
            return Err(Invalid::new("must be set")).at("typed_config").at(&field);
        };
        match type_name(&any) {
            ROUTER => routed = true,
            FAULT => found.fault = true,
            CORS => found.cors = true,
            RBAC => {
                let mut message: rbac::Rbac = unpack(&any, RBAC).at(&field)?;
                let (rules, shadow) = (take(&mut message.rules), take(&mut message.shadow_rules));
                take(&mut message.shadow_rules_stat_prefix);
                nothing_else(&message).at(&field)?;
                found.rbac.extend(super::rbac::filters(rules, shadow).at(&field)?);
            }
            GRPC_STATS => {}
            // What Istio's own extensions do, we do ourselves.
            _ if message.name.starts_with("istio.") => {}
            other => return Err(Invalid::new(format!("{other} is not supported"))).at(&field),
        }
    }
    if routed { Ok(found) } else { Err(Invalid::new("needs the router as its last filter")).at("http_filters") }
}

/// File access logs.
#[expect(deprecated, reason = "a field that Istio still writes")]
pub(super) fn access_logs(messages: Vec<log::AccessLog>) -> Result<Arc<[AccessLog]>> {
    let logs = each(messages, "access_log", |mut message| {
        let Some(log::access_log::ConfigType::TypedConfig(any)) = take(&mut message.config_type) else {
            return Err(Invalid::new("must be set")).at("typed_config");
        };
        message.name.clear();
        nothing_else(&message)?;
        let message: file::FileAccessLog = unpack(&any, FILE_LOG)?;
        let format = match message.access_log_format {
            None => AccessLogFormat::Text(LogFormat::parse(DEFAULT_LINE)),
            Some(file::file_access_log::AccessLogFormat::Format(text)) => {
                AccessLogFormat::Text(LogFormat::parse(&text))
            }
            Some(file::file_access_log::AccessLogFormat::LogFormat(format)) => {
                log_format(format.format).at("log_format")?
            }
            Some(_) => return Err(Invalid::new("only format and log_format are supported")),
        };
        Ok(AccessLog { path: message.path.into(), format: Arc::new(format) })
    })?;
    Ok(logs.into())
}

fn log_format(format: Option<Format>) -> Result<AccessLogFormat> {
    match format {
        Some(Format::TextFormatSource(source)) => match source.specifier {
            Some(envoy_types::pb::envoy::config::core::v3::data_source::Specifier::InlineString(text)) => {
                Ok(AccessLogFormat::Text(LogFormat::parse(&text)))
            }
            _ => Err(Invalid::new("only an inline string is supported")).at("text_format_source"),
        },
        Some(Format::JsonFormat(json)) => {
            let mut fields: Vec<(Box<str>, LogFormat)> = Vec::new();
            for (key, value) in json.fields {
                match value.kind {
                    Some(Kind::StringValue(text)) => fields.push((key.into(), LogFormat::parse(&text))),
                    _ => return Err(Invalid::new("only strings are supported")).at(&key).at("json_format"),
                }
            }
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Ok(AccessLogFormat::Json(fields))
        }
        _ => Err(Invalid::new("only text_format_source and json_format are supported")),
    }
}
