//! All objects at one moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;

use crate::api;
use crate::diagnostic::ObjectRef;
use crate::discovery::within;
use crate::kind::Kind;
use crate::object::{AnyObject, Meta, Object};

/// An object's name within its kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Namespace; empty for kinds without one.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// Objects of one kind, in order. A copy shares all that is not changed in it.
pub type Table<T> = OrdMap<Key, Object<T>>;

/// Implements the tables.
macro_rules! tables {
    ($( $(#[$doc:meta])* $field:ident : $kind:ident ),* $(,)?) => {
        /// All objects at one moment, by kind. Cheap to clone; a table that did not change keeps its root.
        #[derive(Clone, Debug, Default)]
        pub struct Objects { $( $(#[$doc])* pub $field: Table<api::$kind>, )* }

        impl Objects {
            /// The objects of a list; of two with the same name the later one counts.
            pub fn new(objects: impl IntoIterator<Item = AnyObject>) -> Self {
                $( let mut $field = Table::new(); )*
                for object in objects {
                    let reference = object.reference();
                    let key = Key { namespace: reference.namespace, name: reference.name };
                    match object {
                        $( AnyObject::$kind(object) => drop($field.insert(key, object)), )*
                    }
                }
                Self { $( $field, )* }
            }

            /// Takes the tables of `previous` where they say the same, so that roots tell what changed.
            #[must_use]
            pub fn sharing(mut self, previous: &Self) -> Self {
                $( if !self.$field.ptr_eq(&previous.$field) && self.$field == previous.$field {
                    self.$field = previous.$field.clone();
                } )*
                self
            }

            /// Puts an object in, or over its last version. True if that changes anything; other tables keep their roots.
            pub(crate) fn insert(&mut self, object: AnyObject) -> bool {
                let reference = object.reference();
                let key = Key { namespace: reference.namespace, name: reference.name };
                match object {
                    $( AnyObject::$kind(object) => {
                        if self.$field.get(&key) == Some(&object) {
                            return false;
                        }
                        self.$field.insert(key, object);
                    } )*
                }
                true
            }

            /// Takes an object out. True if it was there.
            pub(crate) fn remove(&mut self, reference: &ObjectRef) -> bool {
                let key = Key { namespace: reference.namespace.clone(), name: reference.name.clone() };
                match reference.kind {
                    $( Kind::$kind => self.$field.contains_key(&key) && self.$field.remove(&key).is_some(), )*
                }
            }

            /// Only what is in one of the namespaces, or in none.
            pub(crate) fn within(&self, namespaces: &BTreeSet<Arc<str>>) -> Self {
                Self { $( $field: within(&self.$field, namespaces), )* }
            }

            /// Who the objects are, of all kinds.
            pub fn metas(&self) -> impl Iterator<Item = (Kind, &Arc<Meta>)> {
                std::iter::empty()
                    $( .chain(self.$field.values().map(|object| (Kind::$kind, &object.meta))) )*
            }

            /// True if both hold the very same tables.
            pub fn same_as(&self, other: &Self) -> bool {
                true $( && self.$field.ptr_eq(&other.$field) )*
            }
        }
    };
}

tables! {
    /// Routing.
    virtual_services: VirtualService,
    /// Terms of calling.
    destination_rules: DestinationRule,
    /// Listeners at the edge.
    gateways: Gateway,
    /// Services that Kubernetes does not know.
    service_entries: ServiceEntry,
    /// Workloads that Kubernetes does not know.
    workload_entries: WorkloadEntry,
    /// Templates of such workloads.
    workload_groups: WorkloadGroup,
    /// What sidecars may see.
    sidecars: Sidecar,
    /// Patches of Envoy's configuration.
    envoy_filters: EnvoyFilter,
    /// Settings of some proxies.
    proxy_configs: ProxyConfig,
    /// Mutual TLS.
    peer_authentications: PeerAuthentication,
    /// Who may call whom.
    authorization_policies: AuthorizationPolicy,
    /// Tokens in requests.
    request_authentications: RequestAuthentication,
    /// What is counted, traced and logged.
    telemetries: Telemetry,
    /// WebAssembly modules in proxies.
    wasm_plugins: WasmPlugin,
    /// Code of the user's in proxies.
    traffic_extensions: TrafficExtension,
    /// Settings of the mesh.
    mesh_configs: MeshConfig,
    /// Namespaces.
    namespaces: Namespace,
    /// Services.
    services: Service,
    /// Their endpoints.
    endpoint_slices: EndpointSlice,
    /// What is reached from outside.
    ingresses: Ingress,
    /// Who serves it.
    ingress_classes: IngressClass,
    /// Pods.
    pods: Pod,
    /// Nodes.
    nodes: Node,
    /// TLS credentials.
    secrets: Secret,
    /// Roots of gateways.
    config_maps: ConfigMap,
}

impl Objects {
    /// The settings of the mesh: `istio-system/istio` before any other; Istio's defaults if there are none.
    pub fn mesh(&self) -> Arc<api::MeshConfig> {
        let key = Key { namespace: "istio-system".into(), name: "istio".into() };
        let found = self.mesh_configs.get(&key).or_else(|| self.mesh_configs.values().next());
        found.map(|object| object.spec.clone()).unwrap_or_default()
    }
}
