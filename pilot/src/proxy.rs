//! Who asks.

use std::net::IpAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::{Value, value::Kind};
use galley::api::GatewayTopology;
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
    /// What it says stands before it; nothing if it leaves that to the mesh.
    said_topology: Option<Arc<GatewayTopology>>,
    topology: Arc<GatewayTopology>,
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
            said_topology: topology(node).map(Arc::new),
            topology: Arc::default(),
        })
    }

    /// A proxy by what it is.
    pub fn new(id: NodeId, labels: Labels, on_demand: bool) -> Self {
        let (said, place, topology) = (Locality::default(), Place::default(), Arc::default());
        Self { id, labels, on_demand, scope: None, said, place, said_topology: None, topology }
    }

    /// The same, which says of itself what stands before it.
    #[cfg(test)]
    pub(crate) fn before_which(self, topology: Option<&str>) -> Self {
        Self { said_topology: topology.map(|said| Arc::new(GatewayTopology::parse(said).unwrap())), ..self }
    }

    /// The same, as it sees a world.
    #[must_use]
    pub(crate) fn scoped(&self, world: &World) -> Self {
        let mut place = world.place_of(self.ip()).cloned().unwrap_or_default();
        if !self.said.is_empty() {
            place.locality = self.said.clone();
        }
        let of_mesh = || world.mesh.default_config.as_ref()?.gateway_topology.clone().map(Arc::new);
        let topology = self.said_topology.clone().or_else(of_mesh).unwrap_or_default();
        Self { scope: Scope::of(world, self), place, topology, ..self.clone() }
    }

    /// What stands before it, if it is a gateway, in the world that it was scoped to.
    pub(crate) fn topology(&self) -> &GatewayTopology {
        &self.topology
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

/// `gatewayTopology` of the proxy's own `ProxyConfig`, which Istio's agents tell as well. If it cannot be understood
/// nothing stands before the proxy, whatever the mesh says: nobody is trusted by mistake.
fn topology(node: &Node) -> Option<GatewayTopology> {
    let Kind::StructValue(config) = node.metadata.as_ref()?.fields.get("PROXY_CONFIG")?.kind.as_ref()? else {
        return None;
    };
    let said = json(config.fields.get("gatewayTopology")?).to_string();
    Some(GatewayTopology::parse(&said).unwrap_or_else(|wrong| {
        tracing::warn!(proxy = node.id, "PROXY_CONFIG: gatewayTopology: {wrong}");
        GatewayTopology::default()
    }))
}

/// A value of a node's metadata as JSON, in which numbers without a fraction are whole ones.
fn json(value: &Value) -> serde_json::Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => (*value).into(),
        Some(Kind::StringValue(text)) => text.as_str().into(),
        Some(Kind::NumberValue(number)) if number.fract() == 0.0 => (*number as i64).into(),
        Some(Kind::NumberValue(number)) => (*number).into(),
        Some(Kind::ListValue(list)) => list.values.iter().map(json).collect(),
        Some(Kind::StructValue(fields)) => {
            fields.fields.iter().map(|(key, value)| (key.clone(), json(value))).collect()
        }
    }
}

fn said(wire: &envoy_types::pb::envoy::config::core::v3::Locality) -> Locality {
    Locality { region: wire.region.clone(), zone: wire.zone.clone(), subzone: wire.sub_zone.clone() }
}

/// True if all labels of the selector are there.
pub(crate) fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::protobuf::{ListValue, Struct};

    use super::*;

    fn structure<const N: usize>(fields: [(&str, Kind); N]) -> Kind {
        let fields = fields.map(|(key, kind)| (key.to_owned(), Value { kind: Some(kind) }));
        Kind::StructValue(Struct { fields: fields.into() })
    }

    fn node(topology: Kind) -> Node {
        let Kind::StructValue(metadata) = structure([("PROXY_CONFIG", structure([("gatewayTopology", topology)]))])
        else {
            unreachable!()
        };
        Node { id: "router~10.0.0.1~a.b~b.svc.cluster.local".to_owned(), metadata: Some(metadata), ..Node::default() }
    }

    #[test]
    fn agents_tell_what_stands_before_a_gateway() {
        let said = structure([("numTrustedProxies", Kind::NumberValue(2.0)), ("proxyProtocol", structure([]))]);
        let topology = Proxy::from_node(&node(said)).unwrap().said_topology.unwrap();
        assert_eq!(topology.num_trusted_proxies, Some(2));
        assert!(topology.proxy_protocol.is_some());
        for wrong in [structure([("proxies", Kind::BoolValue(true))]), Kind::ListValue(ListValue::default())] {
            let nothing = Some(Arc::default());
            assert_eq!(Proxy::from_node(&node(wrong)).unwrap().said_topology, nothing, "not what the mesh says");
        }
    }
}
