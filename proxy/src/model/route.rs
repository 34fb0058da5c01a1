//! Routes: from a request to what is done with it.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use mesh_types::Name;
use regex::bytes::Regex;

use super::last_use::LastUse;
use super::matcher::{FieldMatch, PathMatch, QueryMatch, StringMatch};

/// A route configuration of RDS.
#[derive(Clone, Debug, Default)]
pub struct RouteConfig {
    /// Its resource name: `80`, `http.8080`, `inbound|9080||`.
    pub name: Name,
    /// All virtual hosts.
    pub virtual_hosts: Vec<Arc<VirtualHost>>,
    /// Domain (lower case, no port unless the port is part of the domain) to an index of `virtual_hosts`.
    pub exact: HashMap<Box<str>, usize>,
    /// `*.suffix` domains as (`.suffix`, index), longest first.
    pub suffixes: Vec<(Box<str>, usize)>,
    /// `prefix.*` domains as (`prefix.`, index), longest first.
    pub prefixes: Vec<(Box<str>, usize)>,
    /// The virtual host of `*`.
    pub any: Option<usize>,
    /// The port in an authority is not looked at.
    pub ignore_port: bool,
    /// Virtual hosts that are not here may be asked for by name (VHDS).
    pub on_demand: bool,
    /// Applied after the route's and virtual host's own.
    pub edits: HeaderEdits,
}

impl RouteConfig {
    /// Lets a domain lead to a virtual host, unless another has it. The lists of suffixes and prefixes are to be sorted
    /// by whoever adds to them.
    pub fn add_domain(&mut self, domain: &str, index: usize) {
        let domain = domain.to_ascii_lowercase();
        if domain == "*" {
            self.any.get_or_insert(index);
        } else if let Some(suffix) = domain.strip_prefix('*') {
            self.suffixes.push((suffix.into(), index));
        } else if let Some(prefix) = domain.strip_suffix('*') {
            self.prefixes.push((prefix.into(), index));
        } else {
            self.exact.entry(domain.into()).or_insert(index);
        }
    }

    /// Adds a virtual host that was asked for by an authority: under that and under its own exact domains.
    pub fn add_host(&mut self, host: Arc<VirtualHost>, domains: &[String], authority: &str) {
        let index = self.virtual_hosts.len();
        self.virtual_hosts.push(host);
        let exact = domains.iter().map(String::as_str).filter(|domain| !domain.contains('*'));
        exact.chain([authority]).for_each(|domain| self.add_domain(domain, index));
    }
}

impl Route {
    /// The clusters that it leads to, copies included.
    pub fn clusters(&self) -> impl Iterator<Item = &Name> {
        let target = match &self.action {
            RouteAction::Forward(target) => Some(target),
            _ => None,
        };
        target.into_iter().flat_map(|target| {
            target.clusters.iter().map(|one| &one.name).chain(target.mirrors.iter().map(|mirror| &mirror.cluster))
        })
    }
}

/// A virtual host.
#[derive(Clone, Debug, Default)]
pub struct VirtualHost {
    /// Such as `reviews.default.svc.cluster.local:9080`, `allow_any`, `block_all`.
    pub name: Name,
    /// In order; the first that matches is taken.
    pub routes: Vec<Arc<Route>>,
    /// Applied after the route's own.
    pub edits: HeaderEdits,
    /// Where the routes say nothing.
    pub cors: Option<Arc<Cors>>,
    /// Where the routes say nothing.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Tell the application the attempt (`x-envoy-attempt-count`).
    pub include_attempt_count: bool,
    /// When a request last came to it.
    pub last_use: LastUse,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// The user's name for it; in the access log.
    pub name: Name,
    /// When it is taken.
    pub matches: RouteMatch,
    /// What is done.
    pub action: RouteAction,
    /// Edits of request and response.
    pub edits: HeaderEdits,
    /// Injected faults.
    pub fault: Option<Arc<FaultInjection>>,
    /// Cross-origin rules.
    pub cors: Option<Arc<Cors>>,
}

/// All must hold.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// Path without query. Case is folded by `ignore_case`.
    pub path: PathMatch,
    /// `ignoreUriCase`; the stored path is in lower case then.
    pub ignore_case: bool,
    /// Header fields and pseudo fields.
    pub fields: Vec<FieldMatch>,
    /// Query parameters.
    pub query: Vec<QueryMatch>,
    /// Only gRPC requests.
    pub grpc_only: bool,
    /// Taken by this fraction of requests.
    pub runtime_fraction: Option<Percent>,
}

/// A fraction of requests, in millionths. `Percent(1_000_000)` is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

/// What a route does.
#[derive(Clone, Debug)]
pub enum RouteAction {
    /// Sends the request on.
    Forward(RouteTarget),
    /// Answers with another address.
    Redirect(Redirect),
    /// Answers by itself.
    Direct(DirectResponse),
}

/// Where and how a request is sent on.
#[derive(Clone, Debug)]
pub struct RouteTarget {
    /// Never empty; one entry for a plain cluster.
    pub clusters: Vec<WeightedCluster>,
    /// Sum of the weights.
    pub total_weight: u64,
    /// Path rewrite.
    pub path: PathRewrite,
    /// Authority rewrite.
    pub host: HostRewrite,
    /// Whole-response deadline; `None` is without limit.
    pub timeout: Option<Duration>,
    /// Longest silence of the stream, over the connection's.
    pub idle_timeout: Option<Duration>,
    /// Retries; the virtual host's where `None`.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Shadow copies.
    pub mirrors: Vec<Mirror>,
    /// What a consistent-hash balancer hashes.
    pub hash: Vec<HashPolicy>,
    /// Honour `grpc-timeout` up to this (zero: without limit).
    pub max_grpc_timeout: Option<Duration>,
    /// Upgrades for this route, over the connection's: (lower-case name, allowed).
    pub upgrades: Vec<(Box<str>, bool)>,
}

/// A cluster with its share.
#[derive(Clone, Debug)]
pub struct WeightedCluster {
    /// Cluster name.
    pub name: Name,
    /// Relative to the total.
    pub weight: u32,
    /// Edits for requests that go here.
    pub edits: HeaderEdits,
}

/// What becomes of the path; the query stays.
#[derive(Clone, Debug, Default)]
pub enum PathRewrite {
    /// As it is.
    #[default]
    Keep,
    /// The matched prefix is replaced.
    Prefix(Box<[u8]>),
    /// The whole path is replaced.
    Full(Box<[u8]>),
    /// Substitution; `\1` refers to a group.
    Regex(Regex, Box<[u8]>),
}

/// What becomes of the authority.
#[derive(Clone, Debug, Default)]
pub enum HostRewrite {
    /// As it is.
    #[default]
    Keep,
    /// This.
    Literal(Box<[u8]>),
    /// The chosen endpoint's host name (`auto_host_rewrite`).
    Endpoint,
}

/// A redirect.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// New scheme; the request's if `None`.
    pub scheme: Option<Box<str>>,
    /// New host; the request's if `None`.
    pub host: Option<Box<str>>,
    /// New port; none is written for a scheme's own port.
    pub port: Option<u16>,
    /// New path.
    pub path: PathRewrite,
    /// Drop the query.
    pub strip_query: bool,
}

/// An answer of our own.
#[derive(Clone, Debug)]
pub struct DirectResponse {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: Arc<[u8]>,
}

/// Edits of header fields, in the order remove, set, add.
#[derive(Clone, Debug, Default)]
pub struct HeaderEdits {
    /// Of the request.
    pub request: Vec<HeaderEdit>,
    /// Of the response.
    pub response: Vec<HeaderEdit>,
}

/// One edit.
#[derive(Clone, Debug)]
pub enum HeaderEdit {
    /// Removes all of this (lower-case) name.
    Remove(Box<str>),
    /// Sets to one value; may hold `%COMMAND%` operators.
    Set(Box<str>, Box<str>),
    /// Adds a value; may hold `%COMMAND%` operators.
    Append(Box<str>, Box<str>),
    /// Sets if absent.
    SetIfAbsent(Box<str>, Box<str>),
}

/// Injected faults of the fault filter.
#[derive(Clone, Debug, Default)]
pub struct FaultInjection {
    /// Wait so long for this fraction.
    pub delay: Option<(Duration, Percent)>,
    /// Answer so for this fraction.
    pub abort: Option<(u16, Percent)>,
    /// Answer with a gRPC status for this fraction.
    pub abort_grpc: Option<(u32, Percent)>,
    /// Only for requests with these fields.
    pub fields: Vec<FieldMatch>,
}

/// A shadow copy.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Where to.
    pub cluster: Name,
    /// How many.
    pub percent: Percent,
    /// Append `-shadow` to the authority (Envoy's default; Istio turns it off).
    pub shadow_suffix: bool,
}

/// Cross-origin rules.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Allowed origins.
    pub origins: Vec<StringMatch>,
    /// `access-control-allow-methods`.
    pub methods: Box<str>,
    /// `access-control-allow-headers`.
    pub headers: Box<str>,
    /// `access-control-expose-headers`.
    pub expose: Box<str>,
    /// `access-control-max-age`.
    pub max_age: Box<str>,
    /// `access-control-allow-credentials`.
    pub credentials: Option<bool>,
    /// Preflights that do not match go upstream (`true`) or are answered without CORS fields.
    pub forward_unmatched_preflights: bool,
}

/// What a consistent hash is taken of; the first terminal one that yields ends the list.
#[derive(Clone, Debug)]
pub enum HashPolicy {
    /// A header field.
    Header(Box<str>, bool),
    /// A cookie; made with this time to live and path if absent and a time to live is given.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// Its path.
        path: Box<str>,
        /// `None`: never made.
        ttl: Option<Duration>,
        /// Stop here if it yields.
        terminal: bool,
    },
    /// The peer's address.
    SourceIp(bool),
    /// A query parameter.
    Query(Box<str>, bool),
}

/// Retries.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Which failures.
    pub on: RetryOn,
    /// Status codes of `retriable-status-codes`.
    pub status_codes: Vec<u16>,
    /// Tries after the first.
    pub attempts: u32,
    /// Deadline of one try; the route's if `None`.
    pub per_try_timeout: Option<Duration>,
    /// First wait; doubles, with full jitter.
    pub base_interval: Duration,
    /// Longest wait.
    pub max_interval: Duration,
    /// Choose an endpoint that was not tried (`previous_hosts`).
    pub other_hosts: bool,
    /// How often to look for one.
    pub host_attempts: u32,
    /// Prefer other priorities (`previous_priorities`, `retryRemoteLocalities`).
    pub other_priorities: bool,
}

/// `retry_on` conditions, Envoy's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is Envoy's word")]
pub struct RetryOn {
    pub five_xx: bool,
    pub gateway_error: bool,
    pub reset: bool,
    pub reset_before_request: bool,
    pub connect_failure: bool,
    pub retriable_4xx: bool,
    pub refused_stream: bool,
    pub retriable_status_codes: bool,
    pub envoy_ratelimited: bool,
    pub http3_post_connect_failure: bool,
    pub grpc_cancelled: bool,
    pub grpc_deadline_exceeded: bool,
    pub grpc_internal: bool,
    pub grpc_resource_exhausted: bool,
    pub grpc_unavailable: bool,
}
