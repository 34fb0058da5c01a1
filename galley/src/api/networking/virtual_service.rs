//! `VirtualService`: from a request to the place it goes to.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_types::Labels;

use crate::api::common::{Base64, PortSelector, StringMatch, Unserved};
use crate::read::{object, words};
use crate::schema::at_most_one;

object! {
    /// Routing of the traffic to some hosts.
    pub struct VirtualService {
        /// Full names, short names (of this namespace), `*.suffix`, or addresses. None in a delegate.
        hosts: Vec<String> = "hosts",
        /// `namespace/name`, name, or `mesh` (the sidecars); absent means `mesh`.
        gateways: Vec<String> = "gateways",
        /// In order; the first match is taken.
        http: Vec<HttpRoute> = "http",
        /// For TLS that is not terminated; the first match is taken.
        tls: Vec<TlsRoute> = "tls",
        /// For opaque TCP; the first match is taken.
        tcp: Vec<TcpRoute> = "tcp",
        /// Namespaces that see it: `.`, `*`, names; absent means `MeshConfig.defaultVirtualServiceExportTo`.
        export_to: Vec<String> = "exportTo",
    }
}

object! {
    /// One rule of HTTP. Exactly one of `route`, `redirect`, `directResponse` and `delegate` says what is done.
    pub struct HttpRoute {
        /// Stands in the access log.
        name: String = "name",
        /// Any of these; none means every request.
        matches: Vec<HttpMatch> = "match",
        /// Where the request is sent, by weight.
        route: Vec<HttpRouteDestination> = "route",
        /// Another address is answered.
        redirect: Option<HttpRedirect> = "redirect",
        /// The proxy answers by itself.
        direct_response: Option<HttpDirectResponse> = "directResponse",
        /// Another VirtualService goes on from here.
        delegate: Option<Delegate> = "delegate",
        /// Changes of path and authority before it is sent.
        rewrite: Option<HttpRewrite> = "rewrite",
        /// Of the whole exchange; absent means none.
        timeout: Option<Duration> = "timeout",
        /// Absent means `MeshConfig.defaultHttpRetryPolicy`, else two retries of what certainly was not processed.
        retries: Option<HttpRetry> = "retries",
        /// Injected by the client's proxy.
        fault: Option<FaultInjection> = "fault",
        /// Copies go there; excludes `mirrors`.
        mirror: Option<Destination> = "mirror",
        /// Percentage that `mirror` gets, as a whole number.
        mirror_percent: Option<u32> = "mirrorPercent",
        /// Percentage that `mirror` gets; absent means all.
        mirror_percentage: Option<Percent> = "mirrorPercentage",
        /// Copies go to each of these.
        mirrors: Vec<HttpMirror> = "mirrors",
        /// Cross-origin rules.
        cors_policy: Option<CorsPolicy> = "corsPolicy",
        /// Header edits for every destination.
        headers: Option<Headers> = "headers",
    }
}

object! {
    /// A condition on HTTP requests: all that is set must hold.
    pub struct HttpMatch {
        /// For messages and statistics only.
        name: String = "name",
        /// The path without query.
        uri: Option<StringMatch> = "uri",
        /// `http` or `https`.
        scheme: Option<StringMatch> = "scheme",
        /// The method.
        method: Option<StringMatch> = "method",
        /// Host, with port if the request has one.
        authority: Option<StringMatch> = "authority",
        /// Header fields by name; an empty match asks only that the field is there.
        headers: BTreeMap<String, StringMatch> = "headers",
        /// The port that the request was sent to.
        port: Option<u16> = "port",
        /// Labels of the caller's workload; not on gateways.
        source_labels: Labels = "sourceLabels",
        /// Gateways, as in `VirtualService.gateways`; replaces those there.
        gateways: Vec<String> = "gateways",
        /// Query parameters by name.
        query_params: BTreeMap<String, StringMatch> = "queryParams",
        /// The case of the path is not looked at.
        ignore_uri_case: bool = "ignoreUriCase",
        /// Header fields that must not match so (`{}`: must not be there).
        without_headers: BTreeMap<String, StringMatch> = "withoutHeaders",
        /// Namespace of the caller's workload; not on gateways.
        source_namespace: String = "sourceNamespace",
        /// Prefix of this route's statistics.
        stat_prefix: String = "statPrefix",
    }
}

object! {
    /// A destination of HTTP with its share.
    pub struct HttpRouteDestination {
        /// Where.
        destination: Option<Destination> = "destination",
        /// Relative to the sum; a single destination needs none.
        weight: Option<u32> = "weight",
        /// Header edits for requests that go here.
        headers: Option<Headers> = "headers",
    }
    where { "required": ["destination"] }
}

object! {
    /// A destination of TCP or TLS with its share.
    pub struct RouteDestination {
        /// Where.
        destination: Option<Destination> = "destination",
        /// Relative to the sum; a single destination needs none.
        weight: Option<u32> = "weight",
    }
    where { "required": ["destination"] }
}

object! {
    /// A service, perhaps a subset of it, perhaps at a port.
    #[derive(Eq, Hash)]
    pub struct Destination {
        /// Full name, or short name of the VirtualService's namespace.
        host: String = "host",
        /// A subset of the host's DestinationRule; empty means the whole service.
        subset: String = "subset",
        /// Absent is allowed where the service has only one port, or means the port that was called.
        port: Option<PortSelector> = "port",
    }
    where { "required": ["host"] }
}

object! {
    /// A redirect. What is absent stays as it was asked for.
    pub struct HttpRedirect {
        /// The whole new path.
        uri: String = "uri",
        /// In place of the matched prefix; excludes `uri`.
        prefix_rewrite: String = "prefixRewrite",
        /// New authority.
        authority: String = "authority",
        /// New port; excludes `derivePort`.
        port: Option<u16> = "port",
        /// Where the port comes from.
        derive_port: Option<DerivePort> = "derivePort",
        /// New scheme.
        scheme: String = "scheme",
        /// 301 (if absent), 302, 303, 307 or 308.
        redirect_code: Option<u32> = "redirectCode",
    }
    where { "oneOf": (at_most_one(&["port", "derivePort"])) }
}

words! {
    /// Where a redirect's port comes from.
    pub enum DerivePort {
        /// 80 or 443, by the scheme.
        FromProtocolDefault = "FROM_PROTOCOL_DEFAULT",
        /// The request's.
        FromRequestPort = "FROM_REQUEST_PORT",
    }
}

object! {
    /// An answer of the proxy itself.
    pub struct HttpDirectResponse {
        /// 200 to 599.
        status: u32 = "status",
        /// Absent means an empty body.
        body: Option<HttpBody> = "body",
    }
    where { "required": ["status"] }
}

object! {
    /// A body, as text or as bytes.
    pub struct HttpBody {
        /// Text.
        string: Option<String> = "string",
        /// Bytes.
        bytes: Option<Base64> = "bytes",
    }
    where { "oneOf": (at_most_one(&["string", "bytes"])) }
}

object! {
    /// The VirtualService that goes on from here.
    #[derive(Eq)]
    pub struct Delegate {
        /// Its name.
        name: String = "name",
        /// Its namespace; empty means ours.
        namespace: String = "namespace",
    }
}

object! {
    /// Changes of path and authority.
    pub struct HttpRewrite {
        /// Replaces the matched prefix, or the whole path if the match was no prefix.
        uri: String = "uri",
        /// Replaces the authority.
        authority: String = "authority",
        /// Replaces what an expression matches in the path; excludes `uri`.
        uri_regex_rewrite: Option<RegexRewrite> = "uriRegexRewrite",
    }
}

object! {
    /// Substitution in the path.
    #[derive(Eq)]
    pub struct RegexRewrite {
        /// RE2 expression.
        matches: String = "match",
        /// Replacement; `\1` refers to a group.
        rewrite: String = "rewrite",
    }
}

object! {
    /// Retries.
    pub struct HttpRetry {
        /// Tries after the first; 0 turns retries off.
        attempts: u32 = "attempts",
        /// Of each try; absent means the route's.
        per_try_timeout: Option<Duration> = "perTryTimeout",
        /// Envoy's words and status codes, separated by commas; empty means Istio's default.
        retry_on: String = "retryOn",
        /// Also go to other localities.
        retry_remote_localities: Option<bool> = "retryRemoteLocalities",
        /// Do not go twice to one endpoint; absent means true.
        retry_ignore_previous_hosts: Option<bool> = "retryIgnorePreviousHosts",
        /// First wait; absent means 25 ms.
        backoff: Option<Duration> = "backoff",
    }
}

object! {
    /// Injected faults; at least one of the two.
    pub struct FaultInjection {
        /// Waiting.
        delay: Option<FaultDelay> = "delay",
        /// Failing.
        abort: Option<FaultAbort> = "abort",
    }
}

object! {
    /// A wait before the request is sent on.
    pub struct FaultDelay {
        /// How long.
        fixed_delay: Option<Duration> = "fixedDelay",
        /// Never served, not even by Istio.
        exponential_delay: Option<Unserved> = "exponentialDelay",
        /// Share of requests; absent means all.
        percentage: Option<Percent> = "percentage",
        /// The same as a whole number (deprecated).
        percent: Option<u32> = "percent",
    }
    where { "oneOf": (at_most_one(&["fixedDelay", "exponentialDelay"])) }
}

object! {
    /// An answer in the service's place. Exactly one of the two statuses.
    pub struct FaultAbort {
        /// 200 to 599.
        http_status: Option<u32> = "httpStatus",
        /// A name such as `UNAVAILABLE`.
        grpc_status: String = "grpcStatus",
        /// Never served, not even by Istio.
        http2_error: Option<Unserved> = "http2Error",
        /// Share of requests; absent means all.
        percentage: Option<Percent> = "percentage",
    }
    where { "oneOf": (at_most_one(&["grpcStatus", "http2Error", "httpStatus"])) }
}

impl FaultAbort {
    /// The status of gRPC, which is a name or a number.
    pub fn grpc_code(&self) -> Option<u32> {
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
        let by_name = WORDS.iter().position(|one| *one == self.grpc_status).and_then(|at| u32::try_from(at).ok());
        by_name.or_else(|| self.grpc_status.parse().ok().filter(|code| *code <= 16))
    }
}

object! {
    /// A percentage, 0 to 100, in steps of 0.0001.
    pub struct Percent {
        /// The number.
        value: f64 = "value" where { "minimum": 0, "maximum": 100 },
    }
}

object! {
    /// A place that gets copies.
    pub struct HttpMirror {
        /// Where.
        destination: Option<Destination> = "destination",
        /// Share of requests; absent means all.
        percentage: Option<Percent> = "percentage",
    }
    where { "required": ["destination"] }
}

object! {
    /// Cross-origin rules.
    pub struct CorsPolicy {
        /// Exact origins (deprecated).
        allow_origin: Vec<String> = "allowOrigin",
        /// Allowed origins.
        allow_origins: Vec<StringMatch> = "allowOrigins",
        /// `access-control-allow-methods`.
        allow_methods: Vec<String> = "allowMethods",
        /// `access-control-allow-headers`.
        allow_headers: Vec<String> = "allowHeaders",
        /// `access-control-expose-headers`.
        expose_headers: Vec<String> = "exposeHeaders",
        /// `access-control-max-age`, whole seconds.
        max_age: Option<Duration> = "maxAge",
        /// `access-control-allow-credentials`.
        allow_credentials: Option<bool> = "allowCredentials",
        /// What becomes of preflights that match no origin.
        unmatched_preflights: UnmatchedPreflights = "unmatchedPreflights",
    }
}

words! {
    /// What becomes of preflights that match no origin.
    pub enum UnmatchedPreflights {
        /// As `FORWARD`.
        Unspecified = "UNSPECIFIED",
        /// They go to the service.
        Forward = "FORWARD",
        /// They are answered without cross-origin fields.
        Ignore = "IGNORE",
    }
}

object! {
    /// Header edits.
    #[derive(Eq)]
    pub struct Headers {
        /// Of the request.
        request: Option<HeaderOperations> = "request",
        /// Of the response.
        response: Option<HeaderOperations> = "response",
    }
}

object! {
    /// Edits in one direction: remove, set, add.
    #[derive(Eq)]
    pub struct HeaderOperations {
        /// Replaces values.
        set: BTreeMap<String, String> = "set",
        /// Adds values.
        add: BTreeMap<String, String> = "add",
        /// Removes fields.
        remove: Vec<String> = "remove",
    }
}

object! {
    /// One rule of TLS that is not terminated.
    pub struct TlsRoute {
        /// Any of these; at least one.
        matches: Vec<TlsMatch> = "match",
        /// Where the connection goes, by weight.
        route: Vec<RouteDestination> = "route",
    }
    where { "required": ["match"] }
}

object! {
    /// A condition on TLS connections: all that is set must hold.
    pub struct TlsMatch {
        /// Server names; each must be within `VirtualService.hosts`.
        sni_hosts: Vec<String> = "sniHosts" where { "minItems": 1 },
        /// Destination addresses and networks.
        destination_subnets: Vec<String> = "destinationSubnets",
        /// The port that was called.
        port: Option<u16> = "port",
        /// Labels of the caller's workload; not on gateways.
        source_labels: Labels = "sourceLabels",
        /// Gateways, as in `VirtualService.gateways`.
        gateways: Vec<String> = "gateways",
        /// Namespace of the caller's workload; not on gateways.
        source_namespace: String = "sourceNamespace",
    }
    where { "required": ["sniHosts"] }
}

object! {
    /// One rule of TCP.
    pub struct TcpRoute {
        /// Any of these; none means every connection.
        matches: Vec<TcpMatch> = "match",
        /// Where the connection goes, by weight.
        route: Vec<RouteDestination> = "route",
    }
}

object! {
    /// A condition on TCP connections: all that is set must hold.
    pub struct TcpMatch {
        /// Destination addresses and networks.
        destination_subnets: Vec<String> = "destinationSubnets",
        /// The port that was called.
        port: Option<u16> = "port",
        /// Source address or network (hidden in Istio's documentation).
        source_subnet: String = "sourceSubnet",
        /// Labels of the caller's workload; not on gateways.
        source_labels: Labels = "sourceLabels",
        /// Gateways, as in `VirtualService.gateways`.
        gateways: Vec<String> = "gateways",
        /// Namespace of the caller's workload; not on gateways.
        source_namespace: String = "sourceNamespace",
    }
}
