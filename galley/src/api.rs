//! The API: Istio's and Kubernetes' objects, field for field.
//!
//! Absent fields have their type's default; a wrapper in Istio's protobuf, or a message, is an `Option`. What an
//! absent field means is Istio's default, and is said at the field where it is not plain.

mod common;
mod extensions;
mod ingress;
mod kubernetes;
mod mesh_config;
mod networking;
mod security;
mod telemetry;

pub use common::{Base64, IntOrString, Json, LabelSelector, LabelSelectorRequirement, PortSelector, SelectorOperator};
pub use common::{Meaningless, StringMatch, Unserved};
pub use extensions::{
    EnvValueSource, EnvVar, FailStrategy, LuaExtension, PluginPhase, PluginType, PullPolicy, TrafficExtension,
    TrafficSelector, VmConfig, WasmExtension, WasmPlugin,
};
pub use ingress::{
    HttpIngressPath, HttpIngressRule, Ingress, IngressBackend, IngressClass, IngressClassSpec, IngressRule,
    IngressServiceBackend, IngressSpec, IngressStatus, IngressTls, PathType, ServiceBackendPort,
};
pub use kubernetes::{
    AddressType, ConfigMap, Container, ContainerPort, Endpoint, EndpointConditions, EndpointPort, EndpointSlice,
    InternalTrafficPolicy, LoadBalancerIngress, LoadBalancerStatus, Namespace, Node, NodeAddress, NodeInfo, NodeStatus,
    ObjectReference, Pod, PodCondition, PodIp, PodSpec, PodStatus, Secret, Service, ServicePort, ServiceSpec,
    ServiceStatus, ServiceType, SessionAffinity,
};
pub use mesh_config::{
    AccessLogEncoding, DefaultConfig, ForwardClientCertDetails, GatewayTopology, H2UpgradePolicy,
    IngressControllerMode, MeshConfig, MeshOutboundMode, MeshOutboundTrafficPolicy, MeshTls, PathNormalization,
    PathNormalizationKind, ProxyProtocolConfiguration, TlsProtocol,
};
pub use networking::*;
pub use security::{
    AuthorizationPolicy, AuthorizationPolicyAction, ClaimToHeader, Condition, JwtHeader, JwtRule, MtlsMode, Operation,
    PeerAuthentication, PeerMtls, PolicyTargetReference, Provider, RequestAuthentication, Rule, RuleFrom, RuleTo,
    Source, WorkloadSelectorMatch,
};
pub use telemetry::{
    AccessLogging, CustomTag, LogFilter, LogSelector, MetricOverride, MetricSelector, Metrics, ProviderRef,
    StandardMetric, TagLiteral, TagOperation, TagOverride, TagSource, Telemetry, Tracing, TracingSelector,
    WorkloadMode,
};
