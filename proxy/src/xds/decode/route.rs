//! RDS: `RouteConfiguration`.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::route::v3::redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier};
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::PolicySpecifier;
use envoy_types::pb::envoy::config::route::v3::route_action::{ClusterSpecifier, HostRewriteSpecifier};
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3 as cors;
use envoy_types::pb::envoy::extensions::filters::http::fault::v3 as fault;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::google::protobuf::Any;

use mesh_types::header_format::{self, Of};

use super::matcher::{field_match, query_match, string_match};
use super::{At, Invalid, Result, duration, each, limit, nothing_else, regex, required, unpack, whole};
use crate::model::{
    Cors, DirectResponse, FaultInjection, HashPolicy, HeaderEdit, HeaderEdits, HostRewrite, Mirror, PathMatch,
    PathRewrite, Percent, Redirect, RetryOn, RetryPolicy, Route, RouteAction, RouteConfig, RouteMatch, RouteTarget,
    VirtualHost, WeightedCluster,
};

const FAULT: &str = "envoy.extensions.filters.http.fault.v3.HTTPFault";
const CORS: &str = "envoy.extensions.filters.http.cors.v3.CorsPolicy";
/// Envoy's default of a route's time-out.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What a message of any of the four levels that edit header fields says of them.
macro_rules! header_edits {
    ($message:ident) => {
        HeaderEdits {
            request: edits(
                Of::Request,
                take(&mut $message.request_headers_to_remove),
                take(&mut $message.request_headers_to_add),
            )?,
            response: edits(
                Of::Response,
                take(&mut $message.response_headers_to_remove),
                take(&mut $message.response_headers_to_add),
            )?,
        }
    };
}

/// A route configuration.
pub(in crate::xds) fn route_config(mut message: rds::RouteConfiguration) -> Result<RouteConfig> {
    let mut config = RouteConfig {
        name: take(&mut message.name).into(),
        ignore_port: take(&mut message.ignore_port_in_host_matching),
        on_demand: take(&mut message.vhds).is_some(),
        edits: header_edits!(message),
        ..RouteConfig::default()
    };
    // A cluster may come later than its route; that is found out when it is used.
    take(&mut message.validate_clusters);
    take(&mut message.max_direct_response_body_size_bytes);
    for (index, host) in take(&mut message.virtual_hosts).into_iter().enumerate() {
        let (domains, host) = virtual_host(host).at(&format!("virtual_hosts[{index}]"))?;
        domains.iter().for_each(|domain| config.add_domain(domain, index));
        config.virtual_hosts.push(Arc::new(host));
    }
    nothing_else(&message)?;
    config.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
    config.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    Ok(config)
}

/// A virtual host, with its domains.
pub(in crate::xds) fn virtual_host(mut message: rds::VirtualHost) -> Result<(Vec<String>, VirtualHost)> {
    let domains = take(&mut message.domains);
    let mut filters = take(&mut message.typed_per_filter_config);
    let host = VirtualHost {
        name: take(&mut message.name).into(),
        routes: each(take(&mut message.routes), "routes", |message| route(message).map(Arc::new))?,
        edits: header_edits!(message),
        cors: filters.remove("envoy.filters.http.cors").map(cors_policy).transpose().at("typed_per_filter_config")?,
        retry: take(&mut message.retry_policy).map(retry).transpose().at("retry_policy")?.flatten(),
        include_attempt_count: take(&mut message.include_request_attempt_count),
        last_use: Default::default(),
    };
    unknown_filters(&filters)?;
    take(&mut message.metadata);
    nothing_else(&message)?;
    Ok((domains, host))
}

fn unknown_filters(filters: &std::collections::HashMap<String, Any>) -> Result<()> {
    match filters.keys().next() {
        None => Ok(()),
        Some(name) => Err(Invalid::new(format!("{name} is not supported"))).at("typed_per_filter_config"),
    }
}

fn route(mut message: rds::Route) -> Result<Route> {
    let mut filters = take(&mut message.typed_per_filter_config);
    take(&mut message.metadata);
    let action = match take(&mut message.action) {
        Some(Action::Route(action)) => RouteAction::Forward(target(action).at("route")?),
        Some(Action::Redirect(action)) => RouteAction::Redirect(redirect(action).at("redirect")?),
        Some(Action::DirectResponse(action)) => RouteAction::Direct(direct(action).at("direct_response")?),
        _ => return Err(Invalid::new("needs route, redirect or direct_response")),
    };
    let route = Route {
        name: take(&mut message.name).into(),
        matches: route_match(required(take(&mut message.r#match), "match")?).at("match")?,
        action,
        edits: header_edits!(message),
        fault: filters.remove("envoy.filters.http.fault").map(injection).transpose().at("typed_per_filter_config")?,
        cors: filters.remove("envoy.filters.http.cors").map(cors_policy).transpose().at("typed_per_filter_config")?,
    };
    unknown_filters(&filters)?;
    // What names traces and statistics changes no answer.
    take(&mut message.decorator);
    take(&mut message.stat_prefix);
    nothing_else(&message)?;
    Ok(route)
}

fn route_match(mut message: rds::RouteMatch) -> Result<RouteMatch> {
    let ignore_case = take(&mut message.case_sensitive).is_some_and(|flag| !flag.value);
    let path = match required(take(&mut message.path_specifier), "path_specifier")? {
        PathSpecifier::Prefix(text) if text == "/" => PathMatch::Any,
        PathSpecifier::Prefix(text) => PathMatch::Prefix(text.into_bytes().into()),
        PathSpecifier::Path(text) => PathMatch::Exact(text.into_bytes().into()),
        PathSpecifier::PathSeparatedPrefix(text) => PathMatch::SeparatedPrefix(text.into_bytes().into()),
        PathSpecifier::SafeRegex(pattern) => PathMatch::Regex(whole(&pattern.regex).at("safe_regex")?),
        _ => return Err(Invalid::new("only prefix, path, path_separated_prefix and safe_regex are supported")),
    };
    let runtime = take(&mut message.runtime_fraction).and_then(|fraction| fraction.default_value);
    let found = RouteMatch {
        path,
        ignore_case,
        fields: each(take(&mut message.headers), "headers", field_match)?,
        query: each(take(&mut message.query_parameters), "query_parameters", query_match)?,
        grpc_only: take(&mut message.grpc).is_some(),
        runtime_fraction: runtime.map(|fraction| percent(&fraction)),
    };
    nothing_else(&message)?;
    Ok(found)
}

fn target(mut message: rds::RouteAction) -> Result<RouteTarget> {
    let clusters = match required(take(&mut message.cluster_specifier), "cluster_specifier")? {
        ClusterSpecifier::Cluster(name) => {
            vec![WeightedCluster { name: name.into(), weight: 1, edits: HeaderEdits::default() }]
        }
        ClusterSpecifier::WeightedClusters(message) => weighted(message).at("weighted_clusters")?,
        _ => return Err(Invalid::new("only cluster and weighted_clusters are supported")),
    };
    let timeout = match take(&mut message.timeout) {
        None => Some(TIMEOUT),
        Some(timeout) => limit(Some(timeout), "timeout")?,
    };
    let path = match (take(&mut message.prefix_rewrite), take(&mut message.regex_rewrite)) {
        (prefix, None) if prefix.is_empty() => PathRewrite::Keep,
        (prefix, None) => PathRewrite::Prefix(prefix.into_bytes().into()),
        (_, Some(rewrite)) => {
            let pattern = required(rewrite.pattern, "pattern").at("regex_rewrite")?;
            PathRewrite::Regex(regex(&pattern.regex).at("regex_rewrite")?, rewrite.substitution.into_bytes().into())
        }
    };
    let host = match take(&mut message.host_rewrite_specifier) {
        None => HostRewrite::Keep,
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => HostRewrite::Literal(host.into_bytes().into()),
        Some(HostRewriteSpecifier::AutoHostRewrite(flag)) if flag.value => HostRewrite::Endpoint,
        Some(HostRewriteSpecifier::AutoHostRewrite(_)) => HostRewrite::Keep,
        Some(_) => return Err(Invalid::new("only host_rewrite_literal and auto_host_rewrite are supported")),
    };
    let grpc = take(&mut message.max_stream_duration).unwrap_or_default();
    let found = RouteTarget {
        total_weight: clusters.iter().map(|cluster| u64::from(cluster.weight)).sum(),
        clusters,
        path,
        host,
        timeout,
        idle_timeout: limit(take(&mut message.idle_timeout), "idle_timeout")?,
        retry: take(&mut message.retry_policy).map(retry).transpose().at("retry_policy")?.flatten(),
        mirrors: each(take(&mut message.request_mirror_policies), "request_mirror_policies", mirror)?,
        hash: each(take(&mut message.hash_policy), "hash_policy", hash)?,
        max_grpc_timeout: grpc.grpc_timeout_header_max.map(duration).transpose().at("max_stream_duration")?,
        upgrades: take(&mut message.upgrade_configs)
            .into_iter()
            .map(|one| (one.upgrade_type.to_ascii_lowercase().into(), one.enabled.is_none_or(|flag| flag.value)))
            .collect(),
    };
    take(&mut message.append_x_forwarded_host);
    nothing_else(&message)?;
    Ok(found)
}

fn weighted(mut message: rds::WeightedCluster) -> Result<Vec<WeightedCluster>> {
    let clusters = each(take(&mut message.clusters), "clusters", |mut one| {
        let found = WeightedCluster {
            name: take(&mut one.name).into(),
            weight: take(&mut one.weight).map_or(0, |weight| weight.value),
            edits: header_edits!(one),
        };
        nothing_else(&one)?;
        Ok(found)
    })?;
    nothing_else(&message)?;
    if clusters.iter().all(|cluster| cluster.weight == 0) {
        return Err(Invalid::new("the weights must not all be 0")).at("clusters");
    }
    Ok(clusters)
}

fn mirror(mut message: rds::route_action::RequestMirrorPolicy) -> Result<Mirror> {
    let fraction = take(&mut message.runtime_fraction).and_then(|fraction| fraction.default_value);
    let found = Mirror {
        cluster: take(&mut message.cluster).into(),
        percent: fraction.map_or(Percent(1_000_000), |fraction| percent(&fraction)),
        shadow_suffix: !take(&mut message.disable_shadow_host_suffix_append),
    };
    take(&mut message.trace_sampled);
    nothing_else(&message)?;
    Ok(found)
}

fn hash(message: rds::route_action::HashPolicy) -> Result<HashPolicy> {
    let terminal = message.terminal;
    Ok(match required(message.policy_specifier, "policy_specifier")? {
        PolicySpecifier::Header(header) => HashPolicy::Header(header.header_name.to_ascii_lowercase().into(), terminal),
        PolicySpecifier::Cookie(cookie) => HashPolicy::Cookie {
            name: cookie.name.into(),
            path: cookie.path.into(),
            ttl: cookie.ttl.map(duration).transpose().at("cookie.ttl")?,
            terminal,
        },
        PolicySpecifier::ConnectionProperties(_) => HashPolicy::SourceIp(terminal),
        PolicySpecifier::QueryParameter(query) => HashPolicy::Query(query.name.into(), terminal),
        PolicySpecifier::FilterState(_) => return Err(Invalid::new("is not supported")).at("filter_state"),
    })
}

fn redirect(mut message: rds::RedirectAction) -> Result<Redirect> {
    let text = |text: String| (!text.is_empty()).then(|| text.into_boxed_str());
    let scheme = match take(&mut message.scheme_rewrite_specifier) {
        None | Some(SchemeRewriteSpecifier::HttpsRedirect(false)) => None,
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https".into()),
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => text(scheme),
    };
    let path = match take(&mut message.path_rewrite_specifier) {
        None => PathRewrite::Keep,
        Some(PathRewriteSpecifier::PathRedirect(path)) => PathRewrite::Full(path.into_bytes().into()),
        Some(PathRewriteSpecifier::PrefixRewrite(path)) => PathRewrite::Prefix(path.into_bytes().into()),
        Some(_) => return Err(Invalid::new("only path_redirect and prefix_rewrite are supported")),
    };
    let status = match take(&mut message.response_code) {
        0 => 301,
        1 => 302,
        2 => 303,
        3 => 307,
        4 => 308,
        other => return Err(Invalid::new(format!("{other} is no redirect"))).at("response_code"),
    };
    let port =
        u16::try_from(take(&mut message.port_redirect)).map_err(|_| Invalid::new("is no port")).at("port_redirect")?;
    let found = Redirect {
        status,
        scheme,
        host: text(take(&mut message.host_redirect)),
        port: (port != 0).then_some(port),
        path,
        strip_query: take(&mut message.strip_query),
    };
    nothing_else(&message)?;
    Ok(found)
}

fn direct(message: rds::DirectResponseAction) -> Result<DirectResponse> {
    use core::data_source::Specifier;
    let status = u16::try_from(message.status).ok().filter(|status| (200..600).contains(status));
    let status = status.ok_or_else(|| Invalid::new("is no final status")).at("status")?;
    let body = match message.body.and_then(|body| body.specifier) {
        None => Vec::new(),
        Some(Specifier::InlineString(text)) => text.into_bytes(),
        Some(Specifier::InlineBytes(bytes)) => bytes,
        Some(_) => return Err(Invalid::new("only inline bodies are supported")).at("body"),
    };
    Ok(DirectResponse { status, body: body.into() })
}

/// `None` for a policy that never retries.
fn retry(mut message: rds::RetryPolicy) -> Result<Option<Arc<RetryPolicy>>> {
    let on = retry_on(&take(&mut message.retry_on)).at("retry_on")?;
    let attempts = take(&mut message.num_retries).map_or(1, |count| count.value);
    let back_off = take(&mut message.retry_back_off).unwrap_or_default();
    let base = limit(back_off.base_interval, "retry_back_off.base_interval")?.unwrap_or(Duration::from_millis(25));
    let codes: std::result::Result<Vec<u16>, _> =
        take(&mut message.retriable_status_codes).into_iter().map(u16::try_from).collect();
    let mut other_hosts = false;
    for predicate in take(&mut message.retry_host_predicate) {
        match predicate.name.as_str() {
            "envoy.retry_host_predicates.previous_hosts" => other_hosts = true,
            other => return Err(Invalid::new(format!("{other} is not supported"))).at("retry_host_predicate"),
        }
    }
    let other_priorities = match take(&mut message.retry_priority) {
        None => false,
        Some(priority) if priority.name == "envoy.retry_priorities.previous_priorities" => true,
        Some(other) => return Err(Invalid::new(format!("{} is not supported", other.name))).at("retry_priority"),
    };
    let policy = RetryPolicy {
        on,
        status_codes: codes.map_err(|_| Invalid::new("holds no status")).at("retriable_status_codes")?,
        attempts,
        per_try_timeout: limit(take(&mut message.per_try_timeout), "per_try_timeout")?,
        base_interval: base,
        max_interval: limit(back_off.max_interval, "retry_back_off.max_interval")?.unwrap_or(base * 10),
        other_hosts,
        host_attempts: u32::try_from(take(&mut message.host_selection_retry_max_attempts)).unwrap_or(1),
        other_priorities,
    };
    nothing_else(&message)?;
    Ok((policy.on != RetryOn::default() && attempts > 0).then(|| Arc::new(policy)))
}

fn retry_on(words: &str) -> Result<RetryOn> {
    let mut on = RetryOn::default();
    for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let flag = match word {
            "5xx" => &mut on.five_xx,
            "gateway-error" => &mut on.gateway_error,
            "reset" => &mut on.reset,
            "reset-before-request" => &mut on.reset_before_request,
            "connect-failure" => &mut on.connect_failure,
            "retriable-4xx" => &mut on.retriable_4xx,
            "refused-stream" => &mut on.refused_stream,
            "retriable-status-codes" => &mut on.retriable_status_codes,
            "envoy-ratelimited" => &mut on.envoy_ratelimited,
            "http3-post-connect-failure" => &mut on.http3_post_connect_failure,
            "cancelled" => &mut on.grpc_cancelled,
            "deadline-exceeded" => &mut on.grpc_deadline_exceeded,
            "internal" => &mut on.grpc_internal,
            "resource-exhausted" => &mut on.grpc_resource_exhausted,
            "unavailable" => &mut on.grpc_unavailable,
            other => return Err(Invalid::new(format!("{other} is not supported"))),
        };
        *flag = true;
    }
    Ok(on)
}

fn injection(any: Any) -> Result<Arc<FaultInjection>> {
    let mut message: fault::HttpFault = unpack(&any, FAULT)?;
    let mut found =
        FaultInjection { fields: each(take(&mut message.headers), "headers", field_match)?, ..Default::default() };
    if let Some(delay) = take(&mut message.delay) {
        use envoy_types::pb::envoy::extensions::filters::common::fault::v3::fault_delay::FaultDelaySecifier as Kind;
        let share = delay.percentage.map_or(Percent(0), |fraction| percent(&fraction));
        match delay.fault_delay_secifier {
            Some(Kind::FixedDelay(fixed)) => found.delay = Some((duration(fixed).at("delay.fixed_delay")?, share)),
            _ => return Err(Invalid::new("only fixed delays are supported")).at("delay"),
        }
    }
    if let Some(abort) = take(&mut message.abort) {
        let share = abort.percentage.map_or(Percent(0), |fraction| percent(&fraction));
        match abort.error_type {
            Some(fault::fault_abort::ErrorType::HttpStatus(status)) => {
                let status = u16::try_from(status).map_err(|_| Invalid::new("is no status")).at("abort.http_status")?;
                found.abort = Some((status, share));
            }
            Some(fault::fault_abort::ErrorType::GrpcStatus(status)) => found.abort_grpc = Some((status, share)),
            _ => return Err(Invalid::new("only http_status and grpc_status are supported")).at("abort"),
        }
    }
    nothing_else(&message)?;
    Ok(Arc::new(found))
}

fn cors_policy(any: Any) -> Result<Arc<Cors>> {
    let mut message: cors::CorsPolicy = unpack(&any, CORS)?;
    let found = Cors {
        origins: each(take(&mut message.allow_origin_string_match), "allow_origin_string_match", string_match)?,
        methods: take(&mut message.allow_methods).into(),
        headers: take(&mut message.allow_headers).into(),
        expose: take(&mut message.expose_headers).into(),
        max_age: take(&mut message.max_age).into(),
        credentials: take(&mut message.allow_credentials).map(|flag| flag.value),
        forward_unmatched_preflights: take(&mut message.forward_not_matching_preflights).is_none_or(|flag| flag.value),
    };
    take(&mut message.filter_enabled);
    nothing_else(&message)?;
    Ok(Arc::new(found))
}

fn edits(of: Of, remove: Vec<String>, add: Vec<core::HeaderValueOption>) -> Result<Vec<HeaderEdit>> {
    use core::header_value_option::HeaderAppendAction as How;
    let removed = remove.into_iter().map(|name| HeaderEdit::Remove(name.to_ascii_lowercase().into()));
    let added = each(add, "headers_to_add", |mut one| {
        let header = required(take(&mut one.header), "header")?;
        let name: Box<str> = header.key.to_ascii_lowercase().into();
        header_format::check(&header.value, of).map_err(Invalid::new).at("header.value")?;
        let value: Box<str> = header.value.into();
        Ok(match How::try_from(one.append_action) {
            Ok(How::AppendIfExistsOrAdd) => HeaderEdit::Append(name, value),
            Ok(How::OverwriteIfExistsOrAdd) => HeaderEdit::Set(name, value),
            Ok(How::AddIfAbsent) => HeaderEdit::SetIfAbsent(name, value),
            _ => return Err(Invalid::new("is not supported")).at("append_action"),
        })
    })?;
    // Set before add, so that what is added stays.
    let (set, append): (Vec<_>, Vec<_>) = added.into_iter().partition(|edit| matches!(edit, HeaderEdit::Set(..)));
    Ok(removed.chain(set).chain(append).collect())
}

fn percent(fraction: &FractionalPercent) -> Percent {
    let scale = match DenominatorType::try_from(fraction.denominator) {
        Ok(DenominatorType::TenThousand) => 100,
        Ok(DenominatorType::Million) => 1,
        _ => 10_000,
    };
    Percent(fraction.numerator.saturating_mul(scale).min(1_000_000))
}
