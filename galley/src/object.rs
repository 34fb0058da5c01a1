//! A typed object with its metadata.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use mesh_types::Labels;

use crate::api;
use crate::diagnostic::ObjectRef;
use crate::kind::Kind;
use crate::node::Position;

/// An object: who it is and what it says. Cheap to clone.
///
/// Two objects are equal if they say the same; where they were read from does not matter.
#[derive(Clone, Debug)]
pub struct Object<T> {
    /// Who it is.
    pub meta: Arc<Meta>,
    /// What it says.
    pub spec: Arc<T>,
}

/// What Kubernetes calls metadata.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// Unique within kind and namespace.
    pub name: Arc<str>,
    /// `default` if nothing was said; empty for kinds without namespace.
    pub namespace: Arc<str>,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// When it was made; the older one wins conflicts. Files seldom say.
    pub creation: Option<Timestamp>,
    /// It was deleted, and is still there until what it stands for has ended: a pod that drains.
    pub ending: bool,
    /// Counts changes of what it says; 0 if unknown.
    pub generation: i64,
    /// Where it was read from.
    pub source: Source,
}

/// Where an object was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The file, as it was named to us; empty if it came from elsewhere.
    pub file: Arc<str>,
    /// Where in the file it begins.
    pub position: Position,
}

impl<T: PartialEq> PartialEq for Object<T> {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.meta, &other.meta) && is_same(&self.spec, &other.spec)
    }
}

/// What is shared is the same, without being looked at.
fn is_same<T: PartialEq>(one: &Arc<T>, other: &Arc<T>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

impl PartialEq for Meta {
    /// All but the source: an object that only moved within its file did not change.
    fn eq(&self, other: &Self) -> bool {
        let Self { name, namespace, labels, annotations, creation, ending, generation, source: _ } = self;
        (name, namespace, creation, generation) == (&other.name, &other.namespace, &other.creation, &other.generation)
            && *ending == other.ending
            && labels == &other.labels
            && annotations == &other.annotations
    }
}

impl Meta {
    /// Istio's order of precedence among objects in conflict: the oldest first, then by namespace and name. An object
    /// without a time of creation is younger than all that have one.
    pub fn precedence(&self) -> impl Ord + '_ {
        (self.creation.is_none(), self.creation, &self.namespace, &self.name)
    }
}

/// Implements the sum of all kinds.
macro_rules! any_object {
    ($($kind:ident),* $(,)?) => {
        /// An object of any kind.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the kind of its name")]
        pub enum AnyObject { $( $kind(Object<api::$kind>), )* }

        impl AnyObject {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $( Self::$kind(_) => Kind::$kind, )* }
            }

            /// Its metadata.
            pub fn meta(&self) -> &Arc<Meta> {
                match self { $( Self::$kind(object) => &object.meta, )* }
            }
        }

        $(
            impl From<Object<api::$kind>> for AnyObject {
                fn from(object: Object<api::$kind>) -> Self {
                    Self::$kind(object)
                }
            }
        )*
    };
}

any_object! {
    VirtualService, DestinationRule, Gateway, ServiceEntry, WorkloadEntry, WorkloadGroup, Sidecar,
    EnvoyFilter, ProxyConfig, PeerAuthentication, AuthorizationPolicy, RequestAuthentication, Telemetry, WasmPlugin,
    TrafficExtension, MeshConfig,
    Namespace, Service, EndpointSlice, Ingress, IngressClass, Pod, Node, Secret, ConfigMap,
}

impl AnyObject {
    /// Its name among all objects.
    pub fn reference(&self) -> ObjectRef {
        let meta = self.meta();
        ObjectRef { kind: self.kind(), namespace: meta.namespace.clone(), name: meta.name.clone() }
    }
}

impl fmt::Display for Source {
    /// `file:line`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.position.line)
    }
}
