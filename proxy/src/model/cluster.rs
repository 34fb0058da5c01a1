//! Clusters and endpoints: where a request can go and on what terms.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_types::{Identity, Locality, Name};

use super::matcher::StringMatch;
use super::snapshot::SecretName;

/// A cluster of CDS.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its resource name, such as `outbound|9080|v1|reviews.default.svc.cluster.local`.
    pub name: Name,
    /// Where endpoints come from.
    pub discovery: Discovery,
    /// How one is chosen.
    pub lb: LbPolicy,
    /// Localities of lower priority are used when the share of healthy endpoints of a better one, times 1.4, is
    /// below one. With weights: localities of one priority share by weight.
    pub locality_weighted: bool,
    /// Below this percentage of healthy endpoints all count as healthy; Istio's default 0 turns it off.
    pub panic_threshold: u8,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Protocol and limits of HTTP.
    pub http: UpstreamHttp,
    /// TLS to endpoints, by what they offer: the first whose label is met is taken (`transport_socket_matches`).
    /// An empty list, or no match, is plain text.
    pub tls: Vec<(TlsWhen, Arc<UpstreamTls>)>,
    /// Limits; `None` where unlimited.
    pub breakers: CircuitBreakers,
    /// Passive health.
    pub outlier: Option<OutlierDetection>,
    /// TCP keep-alive.
    pub keepalive: Option<TcpKeepalive>,
    /// The service that it stands for, for metrics (Istio's cluster metadata).
    pub service: Option<ServiceRef>,
    /// Local address of upstream connections (`127.0.0.6` for inbound pass-through).
    pub bind: Option<std::net::IpAddr>,
    /// Send a PROXY header of this version ahead of whatever else goes over a connection.
    pub proxy_protocol: Option<u8>,
}

impl Cluster {
    /// How many requests a connection may carry; 0 for any number. A PROXY header tells of one caller, and so of one
    /// request.
    pub fn requests_per_connection(&self) -> u32 {
        if self.proxy_protocol.is_some() { 1 } else { self.http.max_requests_per_connection }
    }
}

/// When a TLS setting of a cluster applies to an endpoint.
pub use self::tls_when::TlsWhen;

mod tls_when {
    /// When a TLS setting of a cluster applies to an endpoint.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum TlsWhen {
        /// Always.
        Always,
        /// The endpoint says that it takes mutual TLS (`tlsMode: istio`).
        EndpointTakesMtls,
    }
}

/// Where endpoints come from (`type`).
#[derive(Clone, Debug)]
pub enum Discovery {
    /// EDS, under this name.
    Eds(Name),
    /// In the cluster.
    Static(Arc<EndpointSet>),
    /// Names that are resolved again and again; every address is an endpoint.
    StrictDns(Arc<[DnsEndpoint]>),
    /// A name of which one address at a time is used.
    LogicalDns(Arc<[DnsEndpoint]>),
    /// The connection's original destination.
    OriginalDst,
}

/// An endpoint given by name.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsEndpoint {
    /// Host name.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// The rest, with a placeholder address.
    pub template: Endpoint,
    /// Its place.
    pub locality: Locality,
    /// Priority.
    pub priority: u32,
}

/// All endpoints of a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointSet {
    /// Lowest priority number first.
    pub localities: Vec<LocalityEndpoints>,
}

/// Shared, replaced whole.
pub type Endpoints = Arc<EndpointSet>;

/// Endpoints of one locality at one priority.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalityEndpoints {
    /// Where.
    pub locality: Locality,
    /// 0 is tried first.
    pub priority: u32,
    /// Share within its priority; 0 is none.
    pub weight: u32,
    /// Its endpoints.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub address: SocketAddr,
    /// Host name, for `auto_host_rewrite` and logs.
    pub hostname: Option<Name>,
    /// As the control plane sees it.
    pub health: EndpointHealth,
    /// Relative weight, at least 1.
    pub weight: u32,
    /// It takes mutual TLS (`envoy.transport_socket_match` has `tlsMode: istio`).
    pub mtls: bool,
    /// Whose workload it is (Istio's `istio.workload` metadata).
    pub workload: Option<WorkloadRef>,
}

/// Health as the control plane sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointHealth {
    /// New work may go there.
    Healthy,
    /// Finish what runs; nothing new.
    Draining,
    /// Not to be used unless all are so.
    Unhealthy,
}

/// The workload behind an endpoint, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WorkloadRef {
    /// Workload (deployment) name.
    pub name: Name,
    /// Namespace.
    pub namespace: Name,
    /// `service.istio.io/canonical-name`.
    pub canonical_name: Name,
    /// `service.istio.io/canonical-revision`.
    pub canonical_revision: Name,
    /// Cluster id.
    pub cluster: Name,
}

/// The service that a cluster stands for, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRef {
    /// Full host name.
    pub host: Name,
    /// Short name.
    pub name: Name,
    /// Namespace.
    pub namespace: Name,
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LbPolicy {
    /// In turn, by weight.
    RoundRobin,
    /// The less loaded of so many random ones.
    LeastRequest(u32),
    /// By weight.
    Random,
    /// Consistent hashing.
    Hash(ConsistentHash),
    /// The original destination, or the cluster's own rule.
    ClusterProvided,
}

/// Parameters of consistent hashing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsistentHash {
    /// Ring hash with at least and at most so many points.
    Ring {
        /// `minimum_ring_size`.
        minimum: u64,
        /// `maximum_ring_size`.
        maximum: u64,
    },
    /// Maglev with a table of this (prime) size.
    Maglev(u64),
}

/// `HttpProtocolOptions` of a cluster.
#[derive(Clone, Debug)]
pub struct UpstreamHttp {
    /// HTTP/1.1, HTTP/2, or the client's.
    pub protocol: UpstreamProtocol,
    /// Close a connection idle for so long; Envoy's default is one hour.
    pub idle_timeout: Option<Duration>,
    /// Close a connection after so many requests; 0 is never.
    pub max_requests_per_connection: u32,
    /// Streams at once on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
}

/// Protocol to endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Whichever the client used (`use_downstream_protocol`).
    Downstream,
}

/// How to open TLS to an endpoint.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// Our certificate, if any.
    pub certificate: Option<SecretName>,
    /// Whom we trust; `None` does not verify (`insecureSkipVerify`).
    pub roots: Option<SecretName>,
    /// A file of lists of certificates that were revoked.
    pub crl: Option<Name>,
    /// Identities that the endpoint may have: its SPIFFE URI must be one of these; empty accepts all that verify.
    pub identities: Arc<[Identity]>,
    /// Further accepted SANs (DNS names and URIs).
    pub sans: Vec<StringMatch>,
    /// Server name to send.
    pub sni: Option<Box<str>>,
    /// Offered, in order. For Istio's mutual TLS the first is `istio-http/1.1`, `istio-h2` or `istio`, by use.
    pub alpn: Vec<Box<str>>,
    /// It is Istio's mutual TLS: ALPN is chosen by what is sent.
    pub istio: bool,
}

/// Limits of a cluster over all worker threads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CircuitBreakers {
    /// Connections.
    pub max_connections: u32,
    /// Requests waiting for a connection.
    pub max_pending: u32,
    /// Requests in flight.
    pub max_requests: u32,
    /// Retries in flight.
    pub max_retries: u32,
    /// Retry budget, over `max_retries`: percent of requests in flight, and the least allowed.
    pub retry_budget: Option<(f64, u32)>,
}

/// `outlier_detection`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Answers of 5xx (and local failures unless split) in a row that eject; 0 is off.
    pub consecutive_5xx: u32,
    /// Answers of 502, 503, 504 in a row that eject; 0 is off.
    pub consecutive_gateway: u32,
    /// Local failures in a row that eject, when split; 0 is off.
    pub consecutive_local: u32,
    /// Count local failures (connect, reset) by themselves.
    pub split_local: bool,
    /// Time between sweeps that bring endpoints back.
    pub interval: Duration,
    /// First ejection's length; grows with each.
    pub base_ejection: Duration,
    /// Longest ejection.
    pub max_ejection: Duration,
    /// At most this percentage of endpoints is ejected (but always one).
    pub max_ejection_percent: u32,
}

/// TCP keep-alive of upstream connections; 0 is the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Probes before giving up.
    pub probes: u32,
    /// Idle seconds before the first.
    pub time: u32,
    /// Seconds between probes.
    pub interval: u32,
}
