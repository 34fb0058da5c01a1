//! What a mesh reads of Kubernetes' own objects. Fields that mean nothing to it are passed over.

use std::collections::BTreeMap;

use mesh_types::Labels;

use super::common::{Base64, IntOrString};
use crate::read::{Read, Reader, object, words};

/// A namespace; all that matters are its labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {}

impl Read for Namespace {
    fn read(_: &crate::node::Node, _: &mut Reader) -> Option<Self> {
        Some(Self {})
    }
}

object! {
    /// A node. Its place is in its labels (`topology.kubernetes.io/*`).
    #[derive(Eq)]
    pub struct Node {
        /// What is.
        status: NodeStatus = "status",
    }
    ignoring all
}

object! {
    /// What a node is.
    #[derive(Eq)]
    pub struct NodeStatus {
        /// What runs on it.
        node_info: NodeInfo = "nodeInfo",
        /// Where it is reached.
        addresses: Vec<NodeAddress> = "addresses",
    }
    ignoring all
}

object! {
    /// Where a node is reached.
    #[derive(Eq)]
    pub struct NodeAddress {
        /// `Hostname`, `InternalIP`, `ExternalIP`…
        address_type: String = "type",
        /// An address, or a name.
        address: String = "address",
    }
}

object! {
    /// What runs on a node.
    #[derive(Eq)]
    pub struct NodeInfo {
        /// Such as `v1.34.4`.
        kubelet_version: String = "kubeletVersion",
    }
    ignoring all
}

object! {
    /// A service.
    #[derive(Eq)]
    pub struct Service {
        /// What is wanted.
        spec: ServiceSpec = "spec",
        /// What is.
        status: ServiceStatus = "status",
    }
}

object! {
    /// What a service is.
    #[derive(Eq)]
    pub struct ServiceStatus {
        /// What a load balancer gave it.
        load_balancer: LoadBalancerStatus = "loadBalancer",
    }
    ignoring ["conditions"]
}

object! {
    /// Where something is reached from outside.
    #[derive(Eq)]
    pub struct LoadBalancerStatus {
        /// Each is another way.
        ingress: Vec<LoadBalancerIngress> = "ingress",
    }
}

object! {
    /// An address, or the name of one.
    #[derive(Eq)]
    pub struct LoadBalancerIngress {
        /// An address.
        ip: String = "ip",
        /// A name.
        hostname: String = "hostname",
    }
    ignoring ["ipMode", "ports"]
}

object! {
    /// What is wanted of a service.
    #[derive(Eq)]
    pub struct ServiceSpec {
        /// Kind of service.
        service_type: ServiceType = "type",
        /// Virtual address; `None` (the word) makes it headless.
        cluster_ip: String = "clusterIP",
        /// Virtual addresses of both families.
        cluster_ips: Vec<String> = "clusterIPs",
        /// Further addresses.
        external_ips: Vec<String> = "externalIPs",
        /// Alias of `ExternalName`.
        external_name: String = "externalName",
        /// Ports.
        ports: Vec<ServicePort> = "ports",
        /// Labels of its pods; empty means that EndpointSlices are written by hand.
        selector: Labels = "selector",
        /// Also pods that are not ready.
        publish_not_ready_addresses: bool = "publishNotReadyAddresses",
        /// Whether calls stay on the node.
        internal_traffic_policy: InternalTrafficPolicy = "internalTrafficPolicy",
        /// `PreferClose`, `PreferSameZone`, `PreferSameNode`; empty is no preference.
        traffic_distribution: String = "trafficDistribution",
        /// Whether a caller stays with one pod. For how long is not looked at (`sessionAffinityConfig`): it stays.
        session_affinity: SessionAffinity = "sessionAffinity",
    }
    ignoring [
        "allocateLoadBalancerNodePorts", "externalTrafficPolicy", "healthCheckNodePort", "ipFamilies", "ipFamilyPolicy",
        "loadBalancerClass", "loadBalancerIP", "loadBalancerSourceRanges", "sessionAffinityConfig",
    ]
}

words! {
    /// Kinds of service.
    pub enum ServiceType {
        /// With a virtual address, or headless.
        ClusterIp = "ClusterIP",
        /// And a port of each node.
        NodePort = "NodePort",
        /// And a load balancer outside.
        LoadBalancer = "LoadBalancer",
        /// An alias.
        ExternalName = "ExternalName",
    }
}

words! {
    /// Whether a caller stays with one pod.
    pub enum SessionAffinity {
        /// Every call goes anywhere.
        None = "None",
        /// Calls from one address go to one pod.
        ClientIp = "ClientIP",
    }
}

words! {
    /// Whether calls stay on the node.
    pub enum InternalTrafficPolicy {
        /// They go everywhere.
        Cluster = "Cluster",
        /// They stay on the caller's node.
        Local = "Local",
    }
}

object! {
    /// A port of a service.
    #[derive(Eq)]
    pub struct ServicePort {
        /// Its name; the prefix may say the protocol.
        name: String = "name",
        /// `TCP` (also if empty), `UDP` or `SCTP`.
        protocol: String = "protocol",
        /// What it speaks.
        app_protocol: Option<String> = "appProtocol",
        /// 1 to 65535.
        port: u16 = "port",
        /// Port of the pods; absent means `port`.
        target_port: Option<IntOrString> = "targetPort",
        /// Port of the nodes.
        node_port: Option<u16> = "nodePort",
    }
}

object! {
    /// Endpoints of a service, whose name is in the label `kubernetes.io/service-name`.
    #[derive(Eq)]
    pub struct EndpointSlice {
        /// Family of the addresses.
        address_type: AddressType = "addressType",
        /// Endpoints.
        endpoints: Vec<Endpoint> = "endpoints",
        /// Ports, the same for all endpoints.
        ports: Vec<EndpointPort> = "ports",
    }
}

words! {
    /// Families of addresses.
    pub enum AddressType {
        /// IPv4.
        Ipv4 = "IPv4",
        /// IPv6.
        Ipv6 = "IPv6",
        /// Host names.
        Fqdn = "FQDN",
    }
}

object! {
    /// One endpoint.
    #[derive(Eq)]
    pub struct Endpoint {
        /// Its addresses; they are one endpoint, so the first is used.
        addresses: Vec<String> = "addresses",
        /// Its state.
        conditions: EndpointConditions = "conditions",
        /// Its host name within a headless service.
        hostname: String = "hostname",
        /// Its node.
        node_name: String = "nodeName",
        /// Its zone.
        zone: String = "zone",
        /// Its pod.
        target_ref: Option<ObjectReference> = "targetRef",
        /// Labels of its place (from before `v1`).
        deprecated_topology: Labels = "deprecatedTopology",
    }
    ignoring ["hints"]
}

object! {
    /// State of an endpoint.
    #[derive(Eq)]
    pub struct EndpointConditions {
        /// New work may go there; absent means true.
        ready: Option<bool> = "ready",
        /// It answers; absent means as `ready`.
        serving: Option<bool> = "serving",
        /// It is about to end.
        terminating: Option<bool> = "terminating",
    }
}

object! {
    /// A port of endpoints.
    #[derive(Eq)]
    pub struct EndpointPort {
        /// The service port's name.
        name: String = "name",
        /// `TCP` if empty.
        protocol: String = "protocol",
        /// 1 to 65535; absent means all.
        port: Option<u16> = "port",
        /// What it speaks.
        app_protocol: Option<String> = "appProtocol",
    }
}

object! {
    /// An object by name.
    #[derive(Eq)]
    pub struct ObjectReference {
        /// Its kind.
        kind: String = "kind",
        /// Its namespace; empty means ours.
        namespace: String = "namespace",
        /// Its name.
        name: String = "name",
    }
    ignoring all
}

object! {
    /// A pod.
    #[derive(Eq)]
    pub struct Pod {
        /// What is wanted.
        spec: PodSpec = "spec",
        /// What is.
        status: PodStatus = "status",
    }
}

object! {
    /// What is wanted of a pod.
    #[derive(Eq)]
    pub struct PodSpec {
        /// Its node.
        node_name: String = "nodeName",
        /// Its identity; empty means `default`.
        service_account_name: String = "serviceAccountName",
        /// It shares the node's network.
        host_network: bool = "hostNetwork",
        /// Its host name within a headless service.
        hostname: String = "hostname",
        /// The headless service of its host name.
        subdomain: String = "subdomain",
        /// Its containers.
        containers: Vec<Container> = "containers",
    }
    ignoring all
}

object! {
    /// A container.
    #[derive(Eq)]
    pub struct Container {
        /// Its name.
        name: String = "name",
        /// Ports that it declares.
        ports: Vec<ContainerPort> = "ports",
    }
    ignoring all
}

object! {
    /// A port of a container.
    #[derive(Eq)]
    pub struct ContainerPort {
        /// What a service's `targetPort` may refer to.
        name: String = "name",
        /// 1 to 65535.
        container_port: u16 = "containerPort",
        /// `TCP` if empty.
        protocol: String = "protocol",
    }
    ignoring all
}

object! {
    /// What a pod is.
    #[derive(Eq)]
    pub struct PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        phase: String = "phase",
        /// Its first address.
        pod_ip: String = "podIP",
        /// All its addresses.
        pod_ips: Vec<PodIp> = "podIPs",
        /// Its state.
        conditions: Vec<PodCondition> = "conditions",
    }
    ignoring all
}

object! {
    /// An address of a pod.
    #[derive(Eq)]
    pub struct PodIp {
        /// The address.
        ip: String = "ip",
    }
}

object! {
    /// A part of a pod's state.
    #[derive(Eq)]
    pub struct PodCondition {
        /// Such as `Ready`.
        condition_type: String = "type",
        /// `True`, `False` or `Unknown`.
        status: String = "status",
    }
    ignoring all
}

object! {
    /// A secret. Only TLS credentials are looked at.
    #[derive(Eq)]
    pub struct Secret {
        /// `kubernetes.io/tls`, `Opaque`…; empty means `Opaque`.
        secret_type: String = "type",
        /// Entries in base64.
        data: BTreeMap<String, Base64> = "data",
        /// Entries in plain text; over those in `data`.
        string_data: BTreeMap<String, String> = "stringData",
    }
    ignoring ["immutable"]
}

impl Secret {
    /// The bytes of an entry.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let plain = self.string_data.get(key).map(|text| text.as_bytes());
        plain.or_else(|| self.data.get(key).map(|bytes| bytes.0.as_slice()))
    }
}

object! {
    /// A config map. Roots for gateways (`ca.crt`) and the mesh's settings (`istio`, key `mesh`) come in them.
    #[derive(Eq)]
    pub struct ConfigMap {
        /// Entries.
        data: BTreeMap<String, String> = "data",
        /// Entries that are no text.
        binary_data: BTreeMap<String, Base64> = "binaryData",
    }
    ignoring ["immutable"]
}
