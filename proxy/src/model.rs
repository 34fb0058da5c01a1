//! What the proxy knows, as immutable data.
//!
//! `xds::decode` makes these values from the wire and nothing after it reads the wire again. A [`Snapshot`] is
//! swapped whole; work in flight keeps the one it began with. Everything is precompiled to what the hot path asks:
//! sorted, lower-cased, regexes built, names interned.

mod cluster;
mod destination;
mod last_use;
mod listener;
mod matcher;
mod policy;
mod resource;
mod route;
mod snapshot;

pub use cluster::{
    CircuitBreakers, Cluster, ConsistentHash, Discovery, DnsEndpoint, Endpoint, EndpointHealth, EndpointSet, Endpoints,
    LbPolicy, LocalityEndpoints, OutlierDetection, ServiceRef, TcpKeepalive, TlsWhen, UpstreamHttp, UpstreamProtocol,
    UpstreamTls, WorkloadRef,
};
pub use destination::Destination;
pub use last_use::LastUse;
pub use listener::{
    AccessLog, AccessLogFormat, ChainMatch, CodecType, DownstreamTls, FilterChain, ForwardClientCert, HttpConnection,
    HttpFilters, Inspect, Listener, ListenerKind, RouteSource, TcpProxy, Terminal, Transport,
};
pub use matcher::{FieldMatch, FieldTest, PathMatch, QueryMatch, StringMatch};
pub use policy::{Condition, Policy, PolicyAction, Rbac};
pub use resource::{Resource, Resources, Type};
pub use route::{
    Cors, DirectResponse, FaultInjection, HashPolicy, HeaderEdit, HeaderEdits, HostRewrite, Mirror, PathRewrite,
    Percent, Redirect, RetryOn, RetryPolicy, Route, RouteAction, RouteConfig, RouteMatch, RouteTarget, VirtualHost,
    WeightedCluster,
};
pub(crate) use snapshot::wildcard;
pub use snapshot::{Absent, SecretName, ServerKeys, Snapshot, TlsSecrets};
