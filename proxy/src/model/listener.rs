//! Listeners and filter chains: what happens to a connection before anything is read as HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use mesh_types::Name;

use super::last_use::LastUse;
use super::policy::Rbac;
use super::route::{RouteConfig, WeightedCluster};
use super::snapshot::SecretName;
use crate::record::LogFormat;

/// A listener of LDS.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its resource name, such as `virtualOutbound`, `0.0.0.0_80`, `10.96.0.10_3306`.
    pub name: Name,
    /// Where it listens, or would (`bind_to_port: false` listeners are only reached from a `use_original_dst` one).
    /// More than one address for dual stack.
    pub addresses: Vec<SocketAddr>,
    /// True if a socket is opened for it.
    pub bind: bool,
    /// Which side of the workload it serves.
    pub kind: ListenerKind,
    /// Its connections were redirected: the kernel is asked where they were meant to go (`use_original_dst`, or the
    /// listener filter `original_dst`).
    pub redirected: bool,
    /// What must be read before a chain can be chosen.
    pub inspect: Inspect,
    /// Tried by Envoy's rule: most specific destination port, then address, then server name, transport, ALPN,
    /// source. `accept::chain` does the choosing.
    pub chains: Vec<Arc<FilterChain>>,
    /// Taken when none matches.
    pub default_chain: Option<Arc<FilterChain>>,
    /// Connections that match no chain are logged here.
    pub access_logs: Arc<[AccessLog]>,
    /// When a connection last came to it.
    pub last_use: LastUse,
}

impl Listener {
    /// True if redirected connections are handed on to the listener that matches their original destination.
    pub fn hands_on(&self) -> bool {
        self.redirected && self.kind == ListenerKind::Outbound
    }
}

/// Which side of the workload a listener serves (Envoy's `traffic_direction`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    /// From the workload.
    Outbound,
    /// To the workload.
    Inbound,
    /// A gateway's: neither.
    Gateway,
}

/// Listener filters: what to look at in a connection's first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspect {
    /// `tls_inspector`: server name and ALPN of a ClientHello.
    pub tls: bool,
    /// `http_inspector`: HTTP/1 or HTTP/2 in clear text.
    pub http: bool,
    /// `proxy_protocol`: a PROXY header comes first.
    pub proxy_protocol: bool,
    /// After this long without bytes the connection is taken as opaque; `None` waits for whichever side speaks.
    pub timeout: Option<Duration>,
}

/// A filter chain: the conditions for it, how to open TLS, and what then happens.
#[derive(Clone, Debug)]
pub struct FilterChain {
    /// For logs and `/config_dump`.
    pub name: Name,
    /// All must hold; an empty condition holds always.
    pub matches: ChainMatch,
    /// Terminate TLS with this.
    pub tls: Option<Arc<DownstreamTls>>,
    /// Network-level policies, in order, before the terminal filter.
    pub rbac: Vec<Arc<Rbac>>,
    /// What the connection is for.
    pub terminal: Terminal,
}

/// Conditions of a filter chain.
#[derive(Clone, Debug, Default)]
pub struct ChainMatch {
    /// Original destination port.
    pub destination_port: Option<u16>,
    /// Original destination address is in one of these.
    pub destination: Vec<IpNet>,
    /// Server name of the ClientHello: exact, or `.suffix` for `*.suffix`; lower case.
    pub server_names: Vec<Box<str>>,
    /// TLS or not.
    pub transport: Option<Transport>,
    /// ALPN of the ClientHello, or as sniffed: `http/1.0`, `http/1.1`, `h2c`.
    pub application_protocols: Vec<Box<str>>,
    /// Peer address is in one of these.
    pub source: Vec<IpNet>,
}

/// What the first bytes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// No TLS.
    Raw,
    /// A ClientHello.
    Tls,
}

/// The last filter of a chain.
#[derive(Clone, Debug)]
pub enum Terminal {
    /// Read it as HTTP.
    Http(Arc<HttpConnection>),
    /// Copy bytes.
    Tcp(Arc<TcpProxy>),
}

/// How to terminate TLS.
#[derive(Clone, Debug)]
pub struct DownstreamTls {
    /// Our certificates. The workload's own is [`SecretName::Workload`].
    pub certificates: Vec<SecretName>,
    /// Whom we trust to have signed client certificates; `None` asks for none.
    pub client_roots: Option<SecretName>,
    /// A file of lists of client certificates that were revoked.
    pub client_crl: Option<Name>,
    /// Refuse clients without a certificate.
    pub require_client_certificate: bool,
    /// Accepted identities of clients, as tests of their URI and DNS SANs; empty accepts all that verify.
    pub client_sans: Vec<super::matcher::StringMatch>,
    /// In order of preference.
    pub alpn: Vec<Box<str>>,
    /// Lowest version: 1.2 unless raised.
    pub tls13_only: bool,
    /// Highest version is 1.2.
    pub tls12_only: bool,
}

/// `tcp_proxy`.
#[derive(Clone, Debug)]
pub struct TcpProxy {
    /// Never empty; one entry for a plain cluster.
    pub clusters: Vec<WeightedCluster>,
    /// Close after so long without a byte; `None` never.
    pub idle_timeout: Option<Duration>,
    /// A consistent-hash balancer hashes the caller's address (`hash_policy`).
    pub hashes_source: bool,
    /// Where connections are logged.
    pub access_logs: Arc<[AccessLog]>,
}

/// `http_connection_manager`.
#[derive(Clone, Debug)]
pub struct HttpConnection {
    /// Prefix of statistics, such as `outbound_0.0.0.0_80`, `inbound_0.0.0.0_8080`.
    pub stat_prefix: Name,
    /// Which codec.
    pub codec: CodecType,
    /// Where routes come from.
    pub routes: RouteSource,
    /// Policies and other filters before the router.
    pub filters: HttpFilters,
    /// Where requests are logged.
    pub access_logs: Arc<[AccessLog]>,
    /// RFC 3986 normalisation of the path before anything reads it.
    pub normalize_path: bool,
    /// `//` becomes `/`.
    pub merge_slashes: bool,
    /// What escaped slashes (`%2F`, `%5C`) lead to: kept (`false`) or decoded before matching.
    pub unescape_slashes: bool,
    /// Trust the peer's address and append it to `x-forwarded-for` (an edge).
    pub use_remote_address: bool,
    /// How many trusted proxies stand before us.
    pub xff_trusted_hops: u32,
    /// What happens to `x-forwarded-client-cert`.
    pub forward_client_cert: ForwardClientCert,
    /// Value of `server`; `None` passes the upstream's through.
    pub server_name: Option<Name>,
    /// Give a request without `x-request-id` one.
    pub generate_request_id: bool,
    /// Close a connection with no request for so long; Envoy's default is one hour.
    pub idle_timeout: Option<Duration>,
    /// Longest silence of one stream.
    pub stream_idle_timeout: Option<Duration>,
    /// Longest wait for a complete head.
    pub request_headers_timeout: Option<Duration>,
    /// Accept HTTP/1.0.
    pub http10: bool,
    /// Lower-case names of `Upgrade` protocols that may pass, such as `websocket`.
    pub upgrades: Vec<Box<str>>,
    /// Largest head in bytes.
    pub max_head: usize,
}

/// `codec_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecType {
    /// By ALPN, else by the first bytes.
    Auto,
    /// HTTP/1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// `route_specifier`.
#[derive(Clone, Debug)]
pub enum RouteSource {
    /// In the listener.
    Inline(Arc<RouteConfig>),
    /// By name in the snapshot.
    Rds(Name),
}

/// HTTP filters before the router, in Istio's order.
#[derive(Clone, Debug, Default)]
pub struct HttpFilters {
    /// Policies, in order; DENY before ALLOW.
    pub rbac: Vec<Arc<Rbac>>,
    /// The fault filter is there (its settings are per route).
    pub fault: bool,
    /// The CORS filter is there (its settings are per route or virtual host).
    pub cors: bool,
}

/// `forward_client_cert_details`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardClientCert {
    /// Remove the field.
    Sanitize,
    /// Pass it as it came, on an authenticated connection.
    ForwardOnly,
    /// Append our element, on an authenticated connection.
    AppendForward,
    /// Replace it.
    SanitizeSet,
    /// Always pass it.
    AlwaysForwardOnly,
}

/// One access log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// A file, `/dev/stdout` or `/dev/stderr`.
    pub path: Box<str>,
    /// How a line looks.
    pub format: Arc<AccessLogFormat>,
}

/// The format of an access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// A format string with `%COMMAND%` operators.
    Text(LogFormat),
    /// Keys in order, each with its format.
    Json(Vec<(Box<str>, LogFormat)>),
}
