//! The vocabulary of the mesh: identities, host names, cluster names, localities and protocols.
//!
//! Nothing here does IO or knows a wire format. Every other crate meets the others in these words.

mod cluster_name;
pub mod duration;
pub mod header_format;
mod host;
mod identity;
mod locality;
mod node;
mod protocol;
mod revision;

pub use cluster_name::{BLACK_HOLE_CLUSTER, ClusterName, Direction, INBOUND_PASSTHROUGH_CLUSTER, PASSTHROUGH_CLUSTER};
pub use host::{HostPattern, split_host_port};
pub use identity::{Identity, IdentityError, TrustDomain};
pub use locality::Locality;
pub use node::{NodeId, NodeIdError, NodeKind, ON_DEMAND_CONTROL_PLANE, ON_DEMAND_METADATA};
pub use protocol::Protocol;
pub use revision::{control_plane, is_default_revision};

/// An interned, cheaply cloned name: of a resource, a host, a workload.
pub type Name = std::sync::Arc<str>;

/// Labels of a workload, a service or a subset, in a fixed order so that equal sets compare and print equal.
pub type Labels = std::collections::BTreeMap<String, String>;

/// The well-known ports of a mesh pod and of the control plane.
pub mod ports {
    /// The control plane's ControlZ, on loopback only.
    pub const SCOPES: u16 = 9876;
    /// Admin interface of the proxy, on loopback only.
    pub const ADMIN: u16 = 15000;
    /// Outbound capture: redirected connections of the application.
    pub const OUTBOUND: u16 = 15001;
    /// Inbound capture: redirected connections to the application.
    pub const INBOUND: u16 = 15006;
    /// Inbound tunnel (HBONE); reserved, excluded from capture.
    pub const TUNNEL: u16 = 15008;
    /// xDS and certificates in plain text (development and tests).
    pub const XDS_PLAINTEXT: u16 = 15010;
    /// xDS and certificates over TLS.
    pub const XDS_TLS: u16 = 15012;
    /// The control plane's monitoring endpoint.
    pub const MONITORING: u16 = 15014;
    /// Status: readiness, merged metrics.
    pub const STATUS: u16 = 15020;
    /// Readiness, as the kubelet probes it.
    pub const READY: u16 = 15021;
    /// Prometheus metrics of the proxy alone.
    pub const PROMETHEUS: u16 = 15090;
}
