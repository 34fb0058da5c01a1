//! The API: Istio's and Kubernetes' objects, field for field.
//!
//! Absent fields have their type's default; a wrapper in Istio's protobuf, or a message, is an `Option`. What an
//! absent field means is Istio's default, and is said at the field where it is not plain.

mod common;
mod kubernetes;
mod mesh_config;
mod networking;
mod security;

pub use common::{Base64, IntOrString, LabelSelector, LabelSelectorRequirement, PortSelector, SelectorOperator};
pub use common::{Meaningless, StringMatch, Unserved};
pub use kubernetes::{
    AddressType, ConfigMap, Container, ContainerPort, Endpoint, EndpointConditions, EndpointPort, EndpointSlice,
    InternalTrafficPolicy, Namespace, Node, ObjectReference, Pod, PodCondition, PodIp, PodSpec, PodStatus, Secret,
    Service, ServicePort, ServiceSpec, ServiceType,
};
pub use mesh_config::{
    AccessLogEncoding, DefaultConfig, H2UpgradePolicy, MeshConfig, MeshOutboundMode, MeshOutboundTrafficPolicy,
    MeshTls, PathNormalization, PathNormalizationKind, TlsProtocol,
};
pub use networking::*;
pub use security::{
    AuthorizationPolicy, AuthorizationPolicyAction, Condition, MtlsMode, Operation, PeerAuthentication, PeerMtls,
    PolicyTargetReference, Provider, Rule, RuleFrom, RuleTo, Source, WorkloadSelectorMatch,
};
