//! All objects at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api;
use crate::object::{AnyObject, Object};

/// An object's name within its kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Namespace; empty for kinds without one.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// Objects of one kind.
pub type Table<T> = Arc<BTreeMap<Key, Object<T>>>;

/// Implements the tables.
macro_rules! tables {
    ($( $(#[$doc:meta])* $field:ident : $kind:ident ),* $(,)?) => {
        /// All objects at one moment, by kind. Cheap to clone; a table that did not change keeps its pointer.
        #[derive(Clone, Debug, Default)]
        pub struct Objects { $( $(#[$doc])* pub $field: Table<api::$kind>, )* }

        impl Objects {
            /// The objects of a list; of two with the same name the later one counts.
            pub fn new(objects: impl IntoIterator<Item = AnyObject>) -> Self {
                $( let mut $field = BTreeMap::new(); )*
                for object in objects {
                    let reference = object.reference();
                    let key = Key { namespace: reference.namespace, name: reference.name };
                    match object {
                        $( AnyObject::$kind(object) => drop($field.insert(key, object)), )*
                    }
                }
                Self { $( $field: Arc::new($field), )* }
            }

            /// Takes the tables of `previous` where they say the same, so that pointers tell what changed.
            #[must_use]
            pub fn sharing(mut self, previous: &Self) -> Self {
                $( if self.$field == previous.$field { self.$field = previous.$field.clone(); } )*
                self
            }

            /// What stands in some namespaces, and what stands in none.
            #[must_use]
            pub fn within(&self, picks: impl Fn(&str) -> bool) -> Self {
                let stays = |key: &Key| key.namespace.is_empty() || picks(&key.namespace);
                $(
                    let own = self.$field.iter().filter(|(key, _)| stays(key));
                    let $field = Arc::new(own.map(|(key, object)| (key.clone(), object.clone())).collect());
                )*
                Self { $( $field, )* }
            }

            /// True if both hold the very same tables.
            pub fn same_as(&self, other: &Self) -> bool {
                true $( && Arc::ptr_eq(&self.$field, &other.$field) )*
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
    /// Mutual TLS.
    peer_authentications: PeerAuthentication,
    /// Who may call whom.
    authorization_policies: AuthorizationPolicy,
    /// Settings of the mesh.
    mesh_configs: MeshConfig,
    /// Namespaces.
    namespaces: Namespace,
    /// Services.
    services: Service,
    /// Their endpoints.
    endpoint_slices: EndpointSlice,
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
    /// The settings of the mesh; Istio's defaults if there are none.
    pub fn mesh(&self) -> Arc<api::MeshConfig> {
        self.mesh_configs.values().next().map(|object| object.spec.clone()).unwrap_or_default()
    }
}
