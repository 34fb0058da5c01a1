//! Whose Ingresses are whose.

use crate::api::{Ingress, IngressControllerMode, MeshConfig};
use crate::object::Object;
use crate::objects::{Key, Objects};

/// The older way to name a class.
const ANNOTATION: &str = "kubernetes.io/ingress.class";
/// What an IngressClass of a mesh names as its controller.
const CONTROLLER: &str = "istio.io/ingress-controller";

impl Objects {
    /// The Ingresses that the mesh serves, the oldest first.
    pub fn ingresses_served(&self) -> Vec<&Object<Ingress>> {
        let mesh = self.mesh();
        let mut served: Vec<_> = self.ingresses.values().filter(|ingress| self.is_served(ingress, &mesh)).collect();
        served.sort_by(|one, other| one.meta.precedence().cmp(&other.meta.precedence()));
        served
    }

    /// Istio's rule: the annotation counts more than `ingressClassName`, which must name a class that there is.
    fn is_served(&self, ingress: &Object<Ingress>, mesh: &MeshConfig) -> bool {
        if mesh.ingress_controller_mode == IngressControllerMode::Off {
            return false;
        }
        let named = ingress.spec.spec.ingress_class_name.as_deref();
        let class = named.map(|name| self.ingress_classes.get(&Key { namespace: "".into(), name: name.into() }));
        match (class, ingress.meta.annotations.get(ANNOTATION)) {
            (Some(None), _) => false,
            (_, Some(said)) => *said == mesh.ingress_class.as_deref().unwrap_or("istio"),
            (Some(Some(class)), None) => class.spec.spec.controller == CONTROLLER,
            (None, None) => mesh.ingress_controller_mode == IngressControllerMode::Default,
        }
    }
}
