//! Who asks.

use std::net::IpAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::value::Kind;
use mesh_types::{Labels, Locality, NodeId, NodeKind, ON_DEMAND_METADATA};

use crate::scope::Scope;
use crate::world::{Place, World};

/// A proxy, as it introduced itself.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Its id.
    pub id: NodeId,
    /// Its workload's labels.
    pub labels: Labels,
    /// It asks for what it uses by name (node metadata `WEFT_ON_DEMAND`); others get all that they may see.
    pub on_demand: bool,
    /// What it may see of the world that it was [scoped](Self::scoped) to.
    scope: Option<Arc<Scope>>,
    /// Where it says that it runs; empty if it leaves that to the registry.
    said: Locality,
    place: Place,
}

impl Proxy {
    /// Reads a node.
    ///
    /// # Errors
    /// If its id is not Istio's.
    pub fn from_node(node: &Node) -> Result<Self, mesh_types::NodeIdError> {
        let id: NodeId = node.id.parse()?;
        let labels = node.metadata.as_ref().and_then(|metadata| metadata.fields.get("LABELS"));
        let labels = match labels.and_then(|labels| labels.kind.as_ref()) {
            Some(Kind::StructValue(labels)) => labels
                .fields
                .iter()
                .filter_map(|(key, value)| match &value.kind {
                    Some(Kind::StringValue(text)) => Some((key.clone(), text.clone())),
                    _ => None,
                })
                .collect(),
            _ => Labels::new(),
        };
        Ok(Self {
            id,
            labels,
            on_demand: text_of(node, ON_DEMAND_METADATA) == Some("true"),
            scope: None,
            said: node.locality.as_ref().map(said).unwrap_or_default(),
            place: Place::default(),
        })
    }

    /// A proxy by what it is.
    pub fn new(id: NodeId, labels: Labels, on_demand: bool) -> Self {
        Self { id, labels, on_demand, scope: None, said: Locality::default(), place: Place::default() }
    }

    /// The same, as it sees a world.
    #[must_use]
    pub(crate) fn scoped(&self, world: &World) -> Self {
        let mut place = world.place_of(self.ip()).cloned().unwrap_or_default();
        if !self.said.is_empty() {
            place.locality = self.said.clone();
        }
        Self { scope: Scope::of(world, self), place, ..self.clone() }
    }

    /// Where it runs in the world that it was scoped to.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// A label of its workload, or of the place where it runs.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.place.label(&self.labels, name)
    }

    /// What its `Sidecar` lets it see, if there is one.
    pub(crate) fn scope(&self) -> Option<&Scope> {
        self.scope.as_deref()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.id.namespace
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.id.ip
    }

    /// True for a gateway.
    pub fn is_gateway(&self) -> bool {
        self.id.kind == NodeKind::Router
    }
}

/// A text of a node's metadata.
pub(crate) fn text_of<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    match node.metadata.as_ref()?.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

fn said(wire: &envoy_types::pb::envoy::config::core::v3::Locality) -> Locality {
    Locality { region: wire.region.clone(), zone: wire.zone.clone(), subzone: wire.sub_zone.clone() }
}

/// True if all labels of the selector are there.
pub(crate) fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
