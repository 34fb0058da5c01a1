//! The kinds of objects that we read, and those of which we know the name.

use std::fmt;

use serde::Serialize;

/// Implements `Kind` and what is known of each kind: API group, served versions, whether it lives in a namespace.
macro_rules! kinds {
    ($( $(#[$doc:meta])* $kind:ident, $group:literal, [$($version:literal),*], $namespaced:literal; )*) => {
        /// A kind of object that is read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub enum Kind { $( $(#[$doc])* $kind, )* }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The name, as in `kind:`.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$kind => stringify!($kind), )* }
            }

            /// The API group; empty for Kubernetes' core.
            pub fn group(self) -> &'static str {
                match self { $( Self::$kind => $group, )* }
            }

            /// The versions under which it may be written. Their schemas are the same.
            pub fn versions(self) -> &'static [&'static str] {
                match self { $( Self::$kind => &[$($version),*], )* }
            }

            /// True if its objects live in namespaces.
            pub fn is_namespaced(self) -> bool {
                match self { $( Self::$kind => $namespaced, )* }
            }
        }
    };
}

kinds! {
    /// Routing.
    VirtualService, "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], true;
    /// Terms of calling a service.
    DestinationRule, "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], true;
    /// Listeners at the edge.
    Gateway, "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], true;
    /// A service that Kubernetes does not know.
    ServiceEntry, "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], true;
    /// A workload that Kubernetes does not know.
    WorkloadEntry, "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], true;
    /// A template of such workloads.
    WorkloadGroup, "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], true;
    /// What a sidecar may see.
    Sidecar, "networking.istio.io", ["v1", "v1beta1", "v1alpha3"], true;
    /// Patches of Envoy's configuration.
    EnvoyFilter, "networking.istio.io", ["v1alpha3"], true;
    /// Settings of some proxies.
    ProxyConfig, "networking.istio.io", ["v1beta1"], true;
    /// Mutual TLS.
    PeerAuthentication, "security.istio.io", ["v1", "v1beta1"], true;
    /// Who may call whom.
    AuthorizationPolicy, "security.istio.io", ["v1", "v1beta1"], true;
    /// Tokens in requests.
    RequestAuthentication, "security.istio.io", ["v1", "v1beta1"], true;
    /// What is counted, traced and logged.
    Telemetry, "telemetry.istio.io", ["v1", "v1alpha1"], true;
    /// A WebAssembly module in the proxy.
    WasmPlugin, "extensions.istio.io", ["v1alpha1"], true;
    /// Code of the user's in the proxy.
    TrafficExtension, "extensions.istio.io", ["v1alpha1"], true;
    /// Settings of the mesh.
    MeshConfig, "", [], true;
    /// A namespace.
    Namespace, "", ["v1"], false;
    /// A service.
    Service, "", ["v1"], true;
    /// Its endpoints.
    EndpointSlice, "discovery.k8s.io", ["v1"], true;
    /// What is reached from outside.
    Ingress, "networking.k8s.io", ["v1"], true;
    /// Who serves it.
    IngressClass, "networking.k8s.io", ["v1"], false;
    /// A pod.
    Pod, "", ["v1"], true;
    /// A node.
    Node, "", ["v1"], false;
    /// TLS credentials.
    Secret, "", ["v1"], true;
    /// Roots of gateways.
    ConfigMap, "", ["v1"], true;
}

impl Kind {
    /// True for Istio's own kinds, which carry a status and can be left to one revision of the control plane.
    pub fn is_istio(self) -> bool {
        self.group().ends_with(".istio.io")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
