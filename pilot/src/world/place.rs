//! Where workloads run.

use galley::{Key, Objects};
use mesh_types::{Labels, Locality};

/// Label of a pod that stands for its node's locality; dots stand for slashes.
const OWN_LOCALITY: &str = "istio-locality";
/// What Kubernetes calls the label that tells nodes apart.
pub(crate) const NODE: &str = "kubernetes.io/hostname";
pub(crate) const REGION: &str = "topology.kubernetes.io/region";
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";
pub(crate) const SUBZONE: &str = "topology.istio.io/subzone";

/// Where a workload runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) locality: Locality,
    /// Name of the node; empty outside Kubernetes.
    pub(crate) node: String,
}

impl Place {
    /// On a node, by the labels that its provider gave it.
    pub(super) fn on(objects: &Objects, node: &str) -> Self {
        let key = Key { namespace: "".into(), name: node.into() };
        let label = |name: &str| objects.nodes.get(&key).and_then(|node| node.meta.labels.get(name)).cloned();
        let label = |name: &str| label(name).unwrap_or_default();
        let locality = Locality { region: label(REGION), zone: label(ZONE), subzone: label(SUBZONE) };
        Self { locality, node: node.to_owned() }
    }

    /// The same, unless the workload's own labels say otherwise.
    pub(super) fn unless(self, labels: &Labels) -> Self {
        match labels.get(OWN_LOCALITY) {
            Some(own) => Self { locality: locality(&own.replace('.', "/")), ..self },
            None => self,
        }
    }

    /// What a label says of a workload here: of its place, if that is what the label is about.
    pub(crate) fn label<'a>(&'a self, labels: &'a Labels, name: &str) -> &'a str {
        match name {
            REGION => &self.locality.region,
            ZONE => &self.locality.zone,
            SUBZONE => &self.locality.subzone,
            NODE => &self.node,
            other => labels.get(other).map_or("", String::as_str),
        }
    }
}

/// Reads `region/zone/subzone`.
pub(super) fn locality(text: &str) -> Locality {
    match text.parse() {
        Ok(locality) => locality,
        Err(never) => match never {},
    }
}
