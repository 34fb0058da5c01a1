//! `Sidecar`: what one proxy takes in and what it may see.

use mesh_types::Labels;

use super::gateway::ServerTls;
use super::traffic_policy::ConnectionPool;
use super::virtual_service::Destination;
use crate::read::{object, words};

object! {
    /// Terms of the sidecars of a namespace, or of the mesh if it stands in the root namespace.
    pub struct Sidecar {
        /// Which workloads of the namespace; absent means all.
        workload_selector: Option<WorkloadSelector> = "workloadSelector",
        /// What is taken in; absent means the ports of the workload's services.
        ingress: Vec<IngressListener> = "ingress",
        /// What may be called; absent means everything that is exported to the namespace.
        egress: Vec<EgressListener> = "egress",
        /// Limits of connections to the workload.
        inbound_connection_pool: Option<ConnectionPool> = "inboundConnectionPool",
        /// What becomes of calls to unknown destinations; absent means the mesh's.
        outbound_traffic_policy: Option<OutboundTrafficPolicy> = "outboundTrafficPolicy",
    }
}

object! {
    /// Workloads by labels.
    #[derive(Eq)]
    pub struct WorkloadSelector {
        /// All of these must be equal.
        labels: Labels = "labels" where { "maxProperties": 256 },
    }
}

object! {
    /// One port that is taken in.
    pub struct IngressListener {
        /// The port.
        port: Option<SidecarPort> = "port",
        /// Address to listen on, with `captureMode: NONE`.
        bind: String = "bind",
        /// How traffic reaches the proxy.
        capture_mode: CaptureMode = "captureMode",
        /// `127.0.0.1:port`, `0.0.0.0:port` (the workload's own address) or `unix:///path`.
        default_endpoint: String = "defaultEndpoint",
        /// TLS of its own.
        tls: Option<ServerTls> = "tls",
        /// Limits of connections to the workload at this port.
        connection_pool: Option<ConnectionPool> = "connectionPool",
    }
    where { "required": ["port"] }
}

object! {
    /// One set of what may be called.
    pub struct EgressListener {
        /// A port of its own; absent means every port.
        port: Option<SidecarPort> = "port",
        /// Address to listen on.
        bind: String = "bind",
        /// How traffic reaches the proxy.
        capture_mode: CaptureMode = "captureMode",
        /// `namespace/host`; namespace: name, `.`, `*`, `~` (none); a `~` before a namespace takes away.
        hosts: Vec<String> = "hosts" where { "minItems": 1 },
    }
    where { "required": ["hosts"] }
}

object! {
    /// A port of a sidecar.
    #[derive(Eq)]
    pub struct SidecarPort {
        /// 1 to 65535; 0 only with a socket path.
        number: u16 = "number",
        /// `HTTP`, `GRPC`, `TCP`…
        protocol: String = "protocol",
        /// For messages.
        name: String = "name",
        /// Ignored by Istio (deprecated).
        target_port: Option<crate::api::Meaningless> = "targetPort",
    }
}

words! {
    /// How traffic reaches the proxy.
    pub enum CaptureMode {
        /// As the workload is set up.
        Default = "DEFAULT",
        /// By redirection.
        Iptables = "IPTABLES",
        /// Not by redirection: the application calls the listener.
        None = "NONE",
    }
}

object! {
    /// What becomes of calls to unknown destinations.
    #[derive(Eq)]
    pub struct OutboundTrafficPolicy {
        /// Let through or refused.
        mode: OutboundTrafficMode = "mode",
        /// Send them there, with `ALLOW_ANY`.
        egress_proxy: Option<Destination> = "egressProxy",
    }
}

words! {
    /// Let through or refused. Absent in a Sidecar is `REGISTRY_ONLY`, as in Istio.
    pub enum OutboundTrafficMode {
        /// Refused.
        RegistryOnly = "REGISTRY_ONLY",
        /// Let through.
        AllowAny = "ALLOW_ANY",
    }
}
