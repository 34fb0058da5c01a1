//! The table: for each cause what the caller, the access log and the metrics are told.

use super::flags::Flag;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The request is no HTTP, or ambiguous; refused with this status.
    Malformed(u16),
    /// The head did not come in time.
    HeadTimeout,
    /// The path cannot be normalised, or the request asks for what is not allowed.
    BadRequest,
    /// An upgrade or `CONNECT` that is not allowed here.
    UpgradeRefused,
    /// A policy says no, or none says yes.
    Denied,
    /// No virtual host or route takes the request.
    NoRoute,
    /// No filter chain takes the connection.
    NoFilterChain,
    /// The route's cluster does not exist.
    NoCluster,
    /// What the request needs is not known yet and the control plane does not say.
    ConfigurationUnavailable,
    /// The injected fault of the route.
    InjectedAbort(u16),
    /// No endpoint is usable.
    NoHealthyUpstream,
    /// The cluster's name does not resolve.
    DnsFailure,
    /// A limit of the cluster's connection pool is reached.
    Overflow,
    /// The connection to the endpoint failed.
    ConnectFailure,
    /// The connection to the endpoint was not made in time.
    ConnectTimeout,
    /// TLS with the endpoint failed: no certificate, a wrong peer, no common ground.
    UpstreamTls,
    /// The endpoint closed the connection before its answer was complete.
    UpstreamClosed,
    /// The endpoint reset the stream.
    UpstreamReset,
    /// The endpoint said that it did not process the stream (`REFUSED_STREAM`, `GOAWAY`).
    RefusedStream,
    /// The endpoint's answer is no HTTP.
    UpstreamProtocol,
    /// The route's time is up.
    ResponseTimeout,
    /// The time of the last try is up.
    PerTryTimeout,
    /// Nothing moved for too long while the request was being read.
    RequestIdle,
    /// Nothing moved for too long while the answer was awaited or passed on.
    StreamIdle,
    /// The caller went away.
    DownstreamClosed,
    /// The caller's body broke the grammar of HTTP.
    DownstreamProtocol,
    /// The proxy itself is at a limit.
    Overloaded,
}

/// On whose account a failure goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The caller.
    Downstream,
    /// The proxy, on behalf of its configuration.
    Proxy,
    /// The endpoint or the way to it.
    Upstream,
}

/// What the world is told of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status; 0 if nobody is there to be answered.
    pub status: u16,
    /// gRPC status.
    pub grpc: u32,
    /// Envoy's response flag.
    pub flag: Option<Flag>,
    /// Envoy's response code details.
    pub details: &'static str,
    /// Body.
    pub body: &'static str,
}

const OK: u32 = 0;
const CANCELLED: u32 = 1;
const DEADLINE_EXCEEDED: u32 = 4;
const PERMISSION_DENIED: u32 = 7;
const UNIMPLEMENTED: u32 = 12;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;

impl Cause {
    /// The row of the table.
    pub fn answer(self) -> Answer {
        let row = |status, grpc, flag, details, body| Answer { status, grpc, flag, details, body };
        match self {
            Self::Malformed(status) => {
                row(status, INTERNAL, Some(Flag::DownstreamProtocol), "http1.codec_error", reason(status))
            }
            Self::HeadTimeout => row(
                408,
                DEADLINE_EXCEEDED,
                Some(Flag::DownstreamProtocol),
                "request_header_timeout",
                "request header timeout",
            ),
            Self::BadRequest => row(400, INTERNAL, None, "path_normalization_failed", "Bad Request"),
            Self::UpgradeRefused => row(403, PERMISSION_DENIED, None, "upgrade_failed", "upgrade not allowed"),
            Self::Denied => row(403, PERMISSION_DENIED, None, "rbac_access_denied", "RBAC: access denied"),
            Self::NoRoute => row(404, UNIMPLEMENTED, Some(Flag::NoRoute), "route_not_found", ""),
            Self::NoFilterChain => row(0, UNAVAILABLE, Some(Flag::NoRoute), "filter_chain_not_found", ""),
            Self::NoCluster => row(503, UNAVAILABLE, Some(Flag::NoCluster), "cluster_not_found", ""),
            Self::ConfigurationUnavailable => {
                row(503, UNAVAILABLE, Some(Flag::NoCluster), "configuration_unavailable", "configuration unavailable")
            }
            Self::InjectedAbort(status) => {
                row(status, grpc_of(status), Some(Flag::FaultInjected), "fault_filter_abort", "fault filter abort")
            }
            Self::NoHealthyUpstream => {
                row(503, UNAVAILABLE, Some(Flag::NoHealthyUpstream), "no_healthy_upstream", "no healthy upstream")
            }
            Self::DnsFailure => {
                row(503, UNAVAILABLE, Some(Flag::DnsFailure), "dns_resolution_failure", "DNS resolution failure")
            }
            Self::Overflow => reset(
                503,
                UNAVAILABLE,
                Flag::UpstreamOverflow,
                "upstream_reset_before_response_started{overflow}",
                "upstream connect error or disconnect/reset before headers. reset reason: overflow",
            ),
            Self::ConnectFailure => reset(
                503,
                UNAVAILABLE,
                Flag::UpstreamConnection,
                "upstream_reset_before_response_started{remote_connection_failure}",
                "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
            ),
            Self::ConnectTimeout => reset(
                503,
                UNAVAILABLE,
                Flag::UpstreamConnection,
                "upstream_reset_before_response_started{connection_timeout}",
                "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
            ),
            Self::UpstreamTls => reset(
                503,
                UNAVAILABLE,
                Flag::UpstreamConnection,
                "upstream_reset_before_response_started{remote_connection_failure|TLS_error}",
                "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: TLS error",
            ),
            Self::UpstreamClosed => reset(
                503,
                UNAVAILABLE,
                Flag::UpstreamTermination,
                "upstream_reset_before_response_started{connection_termination}",
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            ),
            Self::UpstreamReset => reset(
                503,
                UNAVAILABLE,
                Flag::UpstreamReset,
                "upstream_reset_before_response_started{remote_reset}",
                "upstream connect error or disconnect/reset before headers. reset reason: remote reset",
            ),
            Self::RefusedStream => reset(
                503,
                UNAVAILABLE,
                Flag::UpstreamReset,
                "upstream_reset_before_response_started{remote_refused_stream_reset}",
                "upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset",
            ),
            Self::UpstreamProtocol => reset(
                502,
                UNAVAILABLE,
                Flag::UpstreamProtocol,
                "upstream_reset_before_response_started{protocol_error}",
                "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
            ),
            Self::ResponseTimeout => {
                row(504, UNAVAILABLE, Some(Flag::UpstreamTimeout), "response_timeout", "upstream request timeout")
            }
            Self::PerTryTimeout => row(
                504,
                UNAVAILABLE,
                Some(Flag::UpstreamTimeout),
                "upstream_per_try_timeout",
                "upstream request timeout",
            ),
            Self::RequestIdle => {
                row(408, DEADLINE_EXCEEDED, Some(Flag::StreamIdle), "stream_idle_timeout", "stream timeout")
            }
            Self::StreamIdle => {
                row(504, DEADLINE_EXCEEDED, Some(Flag::StreamIdle), "stream_idle_timeout", "stream timeout")
            }
            Self::DownstreamClosed => {
                row(0, CANCELLED, Some(Flag::DownstreamTermination), "downstream_remote_disconnect", "")
            }
            Self::DownstreamProtocol => {
                row(400, INTERNAL, Some(Flag::DownstreamProtocol), "http1.codec_error", "Bad Request")
            }
            Self::Overloaded => row(503, UNAVAILABLE, Some(Flag::OverloadManager), "overload", "proxy overloaded"),
        }
    }

    /// On whose account it goes.
    pub fn source(self) -> Source {
        match self {
            Self::Malformed(_)
            | Self::HeadTimeout
            | Self::BadRequest
            | Self::UpgradeRefused
            | Self::RequestIdle
            | Self::DownstreamClosed
            | Self::DownstreamProtocol => Source::Downstream,
            Self::Denied
            | Self::NoRoute
            | Self::NoFilterChain
            | Self::NoCluster
            | Self::ConfigurationUnavailable
            | Self::InjectedAbort(_)
            | Self::NoHealthyUpstream
            | Self::Overflow
            | Self::Overloaded => Source::Proxy,
            Self::DnsFailure
            | Self::ConnectFailure
            | Self::ConnectTimeout
            | Self::UpstreamTls
            | Self::UpstreamClosed
            | Self::UpstreamReset
            | Self::RefusedStream
            | Self::UpstreamProtocol
            | Self::ResponseTimeout
            | Self::PerTryTimeout
            | Self::StreamIdle => Source::Upstream,
        }
    }

    /// True for what Envoy calls a reset of the upstream stream.
    pub fn is_reset(self) -> bool {
        self.answer().details.starts_with("upstream_reset_before_response_started")
    }
}

fn reset(status: u16, grpc: u32, flag: Flag, details: &'static str, body: &'static str) -> Answer {
    Answer { status, grpc, flag: Some(flag), details, body }
}

/// gRPC's own mapping of HTTP status codes (grpc `doc/http-grpc-status-mapping.md`).
fn grpc_of(status: u16) -> u32 {
    match status {
        200 => OK,
        400 => INTERNAL,
        401 => 16,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => 2,
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        413 => "Payload Too Large",
        414 => "URI Too Long",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Bad Request",
    }
}
