//! `networking.istio.io`: how traffic flows.

mod destination_rule;
mod envoy_filter;
mod gateway;
mod proxy_config;
mod service_entry;
mod sidecar;
mod traffic_policy;
mod virtual_service;

pub use destination_rule::{DestinationRule, Subset, WorkloadSelectorLabels};
pub use envoy_filter::{
    ApplyTo, ClusterMatch, ConfigMatch, ConfigPatch, EnvoyFilter, FilterChainMatch, FilterClass, FilterMatch,
    ListenerMatch, Patch, PatchContext, PatchOperation, ProxyMatch, RouteAction, RouteConfigurationMatch, RouteMatch,
    SubFilterMatch, VirtualHostMatch,
};
pub use gateway::{Gateway, GatewayPort, Server, ServerTls, ServerTlsMode, TlsCertificate, TlsVersion};
pub use proxy_config::{ProxyConfig, ProxyImage};
pub use service_entry::{
    Location, Resolution, ServiceEntry, ServiceEntryPort, WorkloadEntry, WorkloadGroup, WorkloadGroupMetadata,
    WorkloadTemplate,
};
pub use sidecar::{
    CaptureMode, EgressListener, IngressListener, OutboundTrafficMode, OutboundTrafficPolicy, Sidecar, SidecarPort,
    WorkloadSelector,
};
pub use traffic_policy::{
    ClientTls, ClientTlsMode, ConnectionPool, ConsistentHash, H2Upgrade, HttpCookie, HttpPool, LoadBalancer,
    LocalityDistribute, LocalityFailover, LocalityLb, MaglevHash, OutlierDetection, PortTrafficPolicy, ProxyProtocol,
    ProxyProtocolVersion, RetryBudget, RingHash, SimpleLb, TcpKeepalive, TcpPool, TrafficPolicy, Warmup,
};
pub use virtual_service::{
    CorsPolicy, Delegate, DerivePort, Destination, FaultAbort, FaultDelay, FaultInjection, HeaderOperations, Headers,
    HttpBody, HttpDirectResponse, HttpMatch, HttpMirror, HttpRedirect, HttpRetry, HttpRewrite, HttpRoute,
    HttpRouteDestination, Percent, RegexRewrite, RouteDestination, TcpMatch, TcpRoute, TlsMatch, TlsRoute,
    UnmatchedPreflights, VirtualService,
};
