//! Routes: from VirtualServices, or straight to the service where there is none.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::PolicySpecifier;
use envoy_types::pb::envoy::config::route::v3::route_action::{ClusterSpecifier, HashPolicy, HostRewriteSpecifier};
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use envoy_types::pb::envoy::extensions::filters::common::fault::v3::{FaultDelay, fault_delay::FaultDelaySecifier};
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy;
use envoy_types::pb::envoy::extensions::filters::http::fault::v3 as fault;
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use envoy_types::pb::google::protobuf::Any;
use galley::{Object, api};
use mesh_types::{ClusterName, Labels};

use super::policy::Policy;
use super::wire::{any, config_of, duration, flag, metadata, number, percent, regex, string_match, structure, text};
use crate::proxy::{Proxy, selects};
use crate::world::{Service, World, host_matches};

/// Istio's default of tries after the first.
const RETRIES: u32 = 2;
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

/// For whom routes are made.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) world: &'a World,
    pub(super) proxy: &'a Proxy,
    /// `mesh`, or the gateway as `namespace/name`.
    pub(super) gateway: &'a str,
    /// The port that the caller called.
    pub(super) port: u16,
}

/// What a condition says of where it holds, which is known before there is a connection.
pub(super) struct Place<'a> {
    pub(super) port: Option<u16>,
    pub(super) source_labels: &'a Labels,
    pub(super) source_namespace: &'a str,
    pub(super) gateways: &'a [String],
    /// The namespace of the object that says so.
    pub(super) own: &'a str,
}

impl Asker<'_> {
    /// The VirtualServices that this gateway (or the mesh) uses, the oldest first.
    pub(super) fn virtual_services(&self) -> Vec<&Object<api::VirtualService>> {
        let all = self.world.objects.virtual_services.values();
        let mut found: Vec<_> = all
            .filter(|object| {
                let own = &object.meta.namespace;
                let default = &self.world.mesh.default_virtual_service_export_to;
                let export_to = crate::world::or_default(&object.spec.export_to, default);
                crate::world::is_exported(export_to, own, self.proxy.namespace())
                    && uses(&object.spec.gateways, own, self.gateway)
            })
            .collect();
        found.sort_by(|one, other| one.meta.precedence().cmp(&other.meta.precedence()));
        found
    }

    /// All routes of a VirtualService, for a host that it is about.
    pub(super) fn routes(&self, object: &Object<api::VirtualService>) -> Vec<rds::Route> {
        object.spec.http.iter().flat_map(|rule| self.rule(object, rule)).collect()
    }

    /// The one route to a service about which nothing was said.
    pub(super) fn plain(&self, service: &Service, port: u16) -> rds::Route {
        let name = ClusterName::outbound(&service.host, port, "").to_string();
        let action = rds::RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(name)),
            timeout: Some(duration(Duration::ZERO)),
            retry_policy: self.retry(None),
            hash_policy: self.hash(service, port, ""),
            ..Default::default()
        };
        rds::Route {
            name: "default".to_owned(),
            r#match: Some(prefix("/")),
            action: Some(Action::Route(action)),
            ..Default::default()
        }
    }

    fn rule(&self, object: &Object<api::VirtualService>, rule: &api::HttpRoute) -> Vec<rds::Route> {
        let own: &str = &object.meta.namespace;
        if let Some(delegate) = &rule.delegate {
            let namespace = if delegate.namespace.is_empty() { own } else { delegate.namespace.as_str() };
            return self.delegated(rule, namespace, &delegate.name);
        }
        let matches: Vec<Option<&api::HttpMatch>> = if rule.matches.is_empty() {
            vec![None]
        } else {
            rule.matches.iter().filter(|one| self.concerns(one, own)).map(Some).collect()
        };
        matches.into_iter().filter_map(|one| self.route(object, rule, one)).collect()
    }

    /// A delegate's rules, each under the conditions of the rule that refers to it.
    fn delegated(&self, rule: &api::HttpRoute, namespace: &str, name: &str) -> Vec<rds::Route> {
        let key = galley::Key { namespace: namespace.into(), name: name.into() };
        let Some(delegate) = self.world.objects.virtual_services.get(&key) else { return Vec::new() };
        let mut merged = Vec::new();
        for inner in delegate.spec.http.iter().filter(|inner| inner.delegate.is_none()) {
            let mut inner = inner.clone();
            inner.matches = match (rule.matches.as_slice(), inner.matches.as_slice()) {
                ([], inner) => inner.to_vec(),
                (outer, []) => outer.to_vec(),
                (outer, inner) => outer.iter().flat_map(|outer| inner.iter().map(|inner| both(outer, inner))).collect(),
            };
            merged.extend(self.rule(delegate, &inner));
        }
        merged
    }

    /// The VirtualServices that name a service, in order.
    pub(super) fn about(&self, service: &Service) -> impl Iterator<Item = &Object<api::VirtualService>> {
        self.virtual_services().into_iter().filter(|object| {
            let own = &object.meta.namespace;
            let mut names = object.spec.hosts.iter().map(|host| self.world.full_host(host, own));
            names.any(|host| host_matches(&host, &service.host))
        })
    }

    /// False for conditions that this proxy can never meet.
    pub(super) fn is_at(&self, place: &Place<'_>) -> bool {
        place.port.is_none_or(|port| port == self.port)
            && selects(place.source_labels, &self.proxy.labels)
            && (place.source_namespace.is_empty() || place.source_namespace == self.proxy.namespace())
            && (place.gateways.is_empty() || uses(place.gateways, place.own, self.gateway))
    }

    fn concerns(&self, one: &api::HttpMatch, own: &str) -> bool {
        self.is_at(&Place {
            port: one.port,
            source_labels: &one.source_labels,
            source_namespace: &one.source_namespace,
            gateways: &one.gateways,
            own,
        })
    }

    fn route(
        &self,
        object: &Object<api::VirtualService>,
        rule: &api::HttpRoute,
        one: Option<&api::HttpMatch>,
    ) -> Option<rds::Route> {
        let own = &object.meta.namespace;
        let name = match (rule.name.as_str(), one.map(|one| one.name.as_str()).unwrap_or_default()) {
            (rule, "") => rule.to_owned(),
            ("", one) => one.to_owned(),
            (rule, one) => format!("{rule}.{one}"),
        };
        let condition = one.map_or_else(|| prefix("/"), http_match);
        let action = if let Some(redirect) = &rule.redirect {
            Action::Redirect(self.redirect(redirect))
        } else if let Some(direct) = &rule.direct_response {
            Action::DirectResponse(direct_response(direct))
        } else {
            Action::Route(self.action(rule, one, own)?)
        };
        let mut filters = std::collections::HashMap::<String, Any>::new();
        if let Some(injection) = rule.fault.as_ref().and_then(injection) {
            filters.insert("envoy.filters.http.fault".to_owned(), injection);
        }
        if let Some(policy) = &rule.cors_policy {
            filters.insert("envoy.filters.http.cors".to_owned(), cors(policy));
        }
        let mut route = rds::Route {
            name,
            r#match: Some(condition),
            action: Some(action),
            metadata: Some(metadata(
                "istio",
                structure([("config", text(&config_of("virtual-service", &object.meta)))]),
            )),
            typed_per_filter_config: filters,
            ..Default::default()
        };
        if let Some(headers) = &rule.headers {
            let edits = Edits::of(headers);
            route.request_headers_to_add = edits.request_add;
            route.request_headers_to_remove = edits.request_remove;
            route.response_headers_to_add = edits.response_add;
            route.response_headers_to_remove = edits.response_remove;
        }
        Some(route)
    }

    fn action(&self, rule: &api::HttpRoute, one: Option<&api::HttpMatch>, own: &str) -> Option<rds::RouteAction> {
        let weights: Vec<ClusterWeight> = rule.route.iter().filter_map(|to| self.weight(to, own)).collect();
        let first = rule.route.iter().find_map(|to| to.destination.as_ref())?;
        let specifier = match weights.as_slice() {
            [one]
                if one.request_headers_to_add.is_empty()
                    && one.request_headers_to_remove.is_empty()
                    && one.response_headers_to_add.is_empty()
                    && one.response_headers_to_remove.is_empty() =>
            {
                ClusterSpecifier::Cluster(one.name.clone())
            }
            _ => ClusterSpecifier::WeightedClusters(rds::WeightedCluster { clusters: weights, ..Default::default() }),
        };
        let rewrite = rule.rewrite.as_ref();
        let host = rewrite.map(|rewrite| rewrite.authority.as_str()).filter(|host| !host.is_empty());
        let service = self.world.service(self.proxy, &self.world.full_host(&first.host, own));
        let port = service.map(|service| self.port_of(first, service)).unwrap_or(self.port);
        Some(rds::RouteAction {
            cluster_specifier: Some(specifier),
            timeout: Some(duration(rule.timeout.unwrap_or_default())),
            retry_policy: self.retry(rule.retries.as_ref()),
            prefix_rewrite: rewrite.filter(|_| !exact_uri(one)).map(|rewrite| rewrite.uri.clone()).unwrap_or_default(),
            regex_rewrite: rewrite.and_then(|rewrite| regex_rewrite(rewrite, one)),
            host_rewrite_specifier: host.map(|host| HostRewriteSpecifier::HostRewriteLiteral(host.to_owned())),
            request_mirror_policies: self.mirrors(rule, own),
            hash_policy: service.map(|service| self.hash(service, port, &first.subset)).unwrap_or_default(),
            ..Default::default()
        })
    }

    fn weight(&self, to: &api::HttpRouteDestination, own: &str) -> Option<ClusterWeight> {
        let edits = to.headers.as_ref().map(Edits::of).unwrap_or_default();
        Some(ClusterWeight {
            name: self.cluster(to.destination.as_ref()?, own),
            weight: Some(number(to.weight.unwrap_or(0).max(u32::from(to.weight.is_none())))),
            request_headers_to_add: edits.request_add,
            request_headers_to_remove: edits.request_remove,
            response_headers_to_add: edits.response_add,
            response_headers_to_remove: edits.response_remove,
            ..Default::default()
        })
    }

    /// The cluster of a destination; its port is the called one, or the service's only one.
    pub(super) fn cluster(&self, to: &api::Destination, own: &str) -> String {
        let host = self.world.full_host(&to.host, own);
        let port = match self.world.service(self.proxy, &host) {
            Some(service) => self.port_of(to, service),
            None => to.port.as_ref().map_or(self.port, |port| port.number),
        };
        ClusterName::outbound(&host, port, &to.subset).to_string()
    }

    fn port_of(&self, to: &api::Destination, service: &Service) -> u16 {
        let said = to.port.as_ref().map(|port| port.number);
        let only = || match service.ports.as_slice() {
            [one] => Some(one.number),
            _ => None,
        };
        said.or_else(only).unwrap_or(self.port)
    }

    fn mirrors(&self, rule: &api::HttpRoute, own: &str) -> Vec<rds::route_action::RequestMirrorPolicy> {
        let one = |to: &api::Destination, share: f64| rds::route_action::RequestMirrorPolicy {
            cluster: self.cluster(to, own),
            runtime_fraction: Some(core::RuntimeFractionalPercent {
                default_value: Some(percent(share)),
                ..Default::default()
            }),
            ..Default::default()
        };
        let share = rule.mirror_percentage.as_ref().map(|share| share.value);
        let share = share.or(rule.mirror_percent.map(f64::from)).unwrap_or(100.0);
        let single = rule.mirror.iter().map(|to| one(to, share));
        let several = rule.mirrors.iter().filter_map(|mirror| {
            Some(one(mirror.destination.as_ref()?, mirror.percentage.as_ref().map_or(100.0, |share| share.value)))
        });
        single.chain(several).collect()
    }

    fn redirect(&self, redirect: &api::HttpRedirect) -> rds::RedirectAction {
        use rds::redirect_action::{PathRewriteSpecifier, RedirectResponseCode as Code, SchemeRewriteSpecifier};
        let code = match redirect.redirect_code {
            Some(302) => Code::Found,
            Some(303) => Code::SeeOther,
            Some(307) => Code::TemporaryRedirect,
            Some(308) => Code::PermanentRedirect,
            _ => Code::MovedPermanently,
        };
        let path = match (redirect.uri.as_str(), redirect.prefix_rewrite.as_str()) {
            ("", "") => None,
            (uri, "") => Some(PathRewriteSpecifier::PathRedirect(uri.to_owned())),
            (_, prefix) => Some(PathRewriteSpecifier::PrefixRewrite(prefix.to_owned())),
        };
        let derived = matches!(redirect.derive_port, Some(api::DerivePort::FromRequestPort)).then_some(self.port);
        rds::RedirectAction {
            host_redirect: redirect.authority.clone(),
            port_redirect: u32::from(redirect.port.or(derived).unwrap_or_default()),
            response_code: code as i32,
            scheme_rewrite_specifier: (!redirect.scheme.is_empty())
                .then(|| SchemeRewriteSpecifier::SchemeRedirect(redirect.scheme.clone())),
            path_rewrite_specifier: path,
            ..Default::default()
        }
    }

    fn retry(&self, rule: Option<&api::HttpRetry>) -> Option<rds::RetryPolicy> {
        let rule = rule.or(self.world.mesh.default_http_retry_policy.as_ref());
        let attempts = rule.map_or(RETRIES, |rule| rule.attempts);
        if attempts == 0 {
            return None;
        }
        let words = rule.map(|rule| rule.retry_on.as_str()).filter(|words| !words.is_empty()).unwrap_or(RETRY_ON);
        // Istio takes plain status codes among the words.
        let (codes, mut words): (Vec<&str>, Vec<&str>) = words
            .split(',')
            .map(str::trim)
            .partition(|word| word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit()));
        let mut codes: Vec<u32> = codes.iter().filter_map(|code| code.parse().ok()).collect();
        if codes.is_empty() && words.contains(&"retriable-status-codes") {
            codes.push(503);
        }
        if !codes.is_empty() && !words.contains(&"retriable-status-codes") {
            words.push("retriable-status-codes");
        }
        let other_hosts = rule.and_then(|rule| rule.retry_ignore_previous_hosts).unwrap_or(true);
        let predicate = rds::retry_policy::RetryHostPredicate {
            name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
            config_type: Some(rds::retry_policy::retry_host_predicate::ConfigType::TypedConfig(Any {
                type_url: "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                    .to_owned(),
                value: Vec::new(),
            })),
        };
        Some(rds::RetryPolicy {
            retry_on: words.join(","),
            num_retries: Some(number(attempts)),
            per_try_timeout: rule.and_then(|rule| rule.per_try_timeout).map(duration),
            retriable_status_codes: codes,
            retry_host_predicate: if other_hosts { vec![predicate] } else { Vec::new() },
            host_selection_retry_max_attempts: 5,
            retry_back_off: rule.and_then(|rule| rule.backoff).map(|base| rds::retry_policy::RetryBackOff {
                base_interval: Some(duration(base)),
                max_interval: None,
            }),
            ..Default::default()
        })
    }

    /// What a consistent-hash balancer of the destination hashes.
    fn hash(&self, service: &Service, port: u16, subset: &str) -> Vec<HashPolicy> {
        use rds::route_action::hash_policy::{ConnectionProperties, Cookie, Header, QueryParameter};
        let rule = self.world.destination_rule(service, self.proxy.namespace());
        let policy = Policy::of(rule.map(|rule| &*rule.spec), subset, port);
        let Some(hash) = policy.load_balancer.and_then(|balancer| balancer.consistent_hash) else { return Vec::new() };
        let specifier = if !hash.http_header_name.is_empty() {
            PolicySpecifier::Header(Header { header_name: hash.http_header_name, ..Default::default() })
        } else if let Some(cookie) = hash.http_cookie {
            PolicySpecifier::Cookie(Cookie {
                name: cookie.name,
                path: cookie.path,
                ttl: cookie.ttl.map(duration),
                ..Default::default()
            })
        } else if hash.use_source_ip {
            PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true })
        } else if !hash.http_query_parameter_name.is_empty() {
            PolicySpecifier::QueryParameter(QueryParameter { name: hash.http_query_parameter_name })
        } else {
            return Vec::new();
        };
        vec![HashPolicy { policy_specifier: Some(specifier), ..Default::default() }]
    }
}

/// True if a list of gateways names this one; an empty list names the mesh.
pub(super) fn uses(gateways: &[String], own: &str, gateway: &str) -> bool {
    if gateways.is_empty() {
        return gateway == "mesh";
    }
    gateways.iter().any(|one| match one.split_once('/') {
        Some((".", name)) => format!("{own}/{name}") == gateway,
        Some(_) => one == gateway,
        None => one == gateway || format!("{own}/{one}") == gateway,
    })
}

/// Both conditions in one, the inner ones winning where only one can stand.
fn both(outer: &api::HttpMatch, inner: &api::HttpMatch) -> api::HttpMatch {
    let mut merged = inner.clone();
    merged.uri = merged.uri.or_else(|| outer.uri.clone());
    merged.method = merged.method.or_else(|| outer.method.clone());
    merged.authority = merged.authority.or_else(|| outer.authority.clone());
    merged.scheme = merged.scheme.or_else(|| outer.scheme.clone());
    merged.port = merged.port.or(outer.port);
    for (name, test) in &outer.headers {
        merged.headers.entry(name.clone()).or_insert_with(|| test.clone());
    }
    for (name, test) in &outer.without_headers {
        merged.without_headers.entry(name.clone()).or_insert_with(|| test.clone());
    }
    for (name, test) in &outer.query_params {
        merged.query_params.entry(name.clone()).or_insert_with(|| test.clone());
    }
    merged
}

pub(super) fn prefix(path: &str) -> rds::RouteMatch {
    rds::RouteMatch { path_specifier: Some(PathSpecifier::Prefix(path.to_owned())), ..Default::default() }
}

fn exact_uri(one: Option<&api::HttpMatch>) -> bool {
    matches!(one.and_then(|one| one.uri.as_ref()), Some(api::StringMatch::Exact(_) | api::StringMatch::Regex(_)))
}

fn regex_rewrite(rewrite: &api::HttpRewrite, one: Option<&api::HttpMatch>) -> Option<RegexMatchAndSubstitute> {
    if let Some(own) = &rewrite.uri_regex_rewrite {
        return Some(RegexMatchAndSubstitute { pattern: Some(regex(&own.matches)), substitution: own.rewrite.clone() });
    }
    // A path that was matched whole is replaced whole.
    let whole = exact_uri(one) && !rewrite.uri.is_empty();
    whole.then(|| RegexMatchAndSubstitute {
        pattern: Some(regex("^.*$")),
        substitution: rewrite.uri.replace('\\', "\\\\"),
    })
}

fn http_match(one: &api::HttpMatch) -> rds::RouteMatch {
    let path = match &one.uri {
        Some(api::StringMatch::Exact(text)) => PathSpecifier::Path(text.clone()),
        Some(api::StringMatch::Prefix(text)) => PathSpecifier::Prefix(text.clone()),
        Some(api::StringMatch::Regex(pattern)) => PathSpecifier::SafeRegex(regex(pattern)),
        _ => PathSpecifier::Prefix("/".to_owned()),
    };
    let pseudo = [(":method", &one.method), (":authority", &one.authority), (":scheme", &one.scheme)];
    let pseudo = pseudo.into_iter().filter_map(|(name, test)| Some(field(name, test.as_ref()?, false)));
    let with = one.headers.iter().map(|(name, test)| field(name, test, false));
    let without = one.without_headers.iter().map(|(name, test)| field(name, test, true));
    let query = one.query_params.iter().map(|(name, test)| rds::QueryParameterMatcher {
        name: name.clone(),
        query_parameter_match_specifier: Some(if is_presence(test) {
            rds::query_parameter_matcher::QueryParameterMatchSpecifier::PresentMatch(true)
        } else {
            rds::query_parameter_matcher::QueryParameterMatchSpecifier::StringMatch(string_match(test, false))
        }),
    });
    rds::RouteMatch {
        path_specifier: Some(path),
        case_sensitive: one.ignore_uri_case.then(|| flag(false)),
        headers: pseudo.chain(with).chain(without).collect(),
        query_parameters: query.collect(),
        ..Default::default()
    }
}

fn is_presence(test: &api::StringMatch) -> bool {
    match test {
        api::StringMatch::Exact(_) => false,
        api::StringMatch::Prefix(text) => text.is_empty(),
        api::StringMatch::Regex(pattern) => pattern == "*" || pattern == ".*",
        _ => true,
    }
}

fn field(name: &str, test: &api::StringMatch, invert: bool) -> rds::HeaderMatcher {
    let specifier = if is_presence(test) {
        HeaderMatchSpecifier::PresentMatch(true)
    } else {
        HeaderMatchSpecifier::StringMatch(string_match(test, false))
    };
    rds::HeaderMatcher {
        name: name.to_owned(),
        invert_match: invert,
        treat_missing_header_as_empty: invert && !is_presence(test),
        header_match_specifier: Some(specifier),
    }
}

fn direct_response(direct: &api::HttpDirectResponse) -> rds::DirectResponseAction {
    use core::data_source::Specifier;
    let specifier = direct.body.as_ref().and_then(|body| match (&body.string, &body.bytes) {
        (Some(text), _) => Some(Specifier::InlineString(text.clone())),
        (None, Some(bytes)) => Some(Specifier::InlineBytes(bytes.0.clone())),
        (None, None) => None,
    });
    let body = specifier.map(|specifier| core::DataSource { specifier: Some(specifier), ..Default::default() });
    rds::DirectResponseAction { status: direct.status, body, ..Default::default() }
}

fn injection(rule: &api::FaultInjection) -> Option<Any> {
    let share = |share: Option<&api::Percent>, whole: Option<u32>| {
        percent(share.map(|share| share.value).or(whole.map(f64::from)).unwrap_or(100.0))
    };
    let delay = rule.delay.as_ref().and_then(|delay| {
        Some(FaultDelay {
            percentage: Some(share(delay.percentage.as_ref(), delay.percent)),
            fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(duration(delay.fixed_delay?))),
        })
    });
    let abort = rule.abort.as_ref().and_then(|abort| {
        let kind = match (abort.http_status, abort.grpc_status.as_str()) {
            (Some(status), _) => fault::fault_abort::ErrorType::HttpStatus(status),
            (None, word) => fault::fault_abort::ErrorType::GrpcStatus(grpc_code(word)?),
        };
        let percentage = Some(share(abort.percentage.as_ref(), None));
        Some(fault::FaultAbort { percentage, error_type: Some(kind), ..Default::default() })
    });
    if delay.is_none() && abort.is_none() {
        return None;
    }
    let message = fault::HttpFault { delay, abort, ..Default::default() };
    Some(any("envoy.extensions.filters.http.fault.v3.HTTPFault", &message))
}

/// gRPC's codes by name, or as a number.
fn grpc_code(word: &str) -> Option<u32> {
    const WORDS: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let by_name = WORDS.iter().position(|one| *one == word).and_then(|at| u32::try_from(at).ok());
    by_name.or_else(|| word.parse().ok().filter(|code| *code <= 16))
}

fn cors(policy: &api::CorsPolicy) -> Any {
    let exact = policy.allow_origin.iter().map(|origin| match origin.as_str() {
        "*" => api::StringMatch::Regex(".*".to_owned()),
        origin => api::StringMatch::Exact(origin.to_owned()),
    });
    let origins = exact.chain(policy.allow_origins.iter().cloned());
    let message = CorsPolicy {
        allow_origin_string_match: origins.map(|origin| string_match(&origin, false)).collect(),
        allow_methods: policy.allow_methods.join(","),
        allow_headers: policy.allow_headers.join(","),
        expose_headers: policy.expose_headers.join(","),
        max_age: policy.max_age.map(|age| age.as_secs().to_string()).unwrap_or_default(),
        allow_credentials: policy.allow_credentials.map(flag),
        forward_not_matching_preflights: Some(flag(policy.unmatched_preflights != api::UnmatchedPreflights::Ignore)),
        ..Default::default()
    };
    any("envoy.extensions.filters.http.cors.v3.CorsPolicy", &message)
}

/// Edits of fields, as Envoy takes them.
#[derive(Default)]
struct Edits {
    request_add: Vec<core::HeaderValueOption>,
    request_remove: Vec<String>,
    response_add: Vec<core::HeaderValueOption>,
    response_remove: Vec<String>,
}

impl Edits {
    fn of(headers: &api::Headers) -> Self {
        let (request_add, request_remove) = headers.request.as_ref().map(operations).unwrap_or_default();
        let (response_add, response_remove) = headers.response.as_ref().map(operations).unwrap_or_default();
        Self { request_add, request_remove, response_add, response_remove }
    }
}

fn operations(edits: &api::HeaderOperations) -> (Vec<core::HeaderValueOption>, Vec<String>) {
    use core::header_value_option::HeaderAppendAction as How;
    let option = |(key, value): (&String, &String), how: How| core::HeaderValueOption {
        header: Some(core::HeaderValue { key: key.clone(), value: value.clone(), ..Default::default() }),
        append_action: how as i32,
        ..Default::default()
    };
    let set = edits.set.iter().map(|pair| option(pair, How::OverwriteIfExistsOrAdd));
    let add = edits.add.iter().map(|pair| option(pair, How::AppendIfExistsOrAdd));
    (set.chain(add).collect(), edits.remove.clone())
}
