//! What proxies tell each other about their workloads (Istio's metadata exchange): with each request over the mesh's own
//! mutual TLS goes a description of the caller, so that the called side can name it in its metrics.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use mesh_http::{Known, RequestHead};
use prost::Message;

use crate::config::Node;
use crate::conn::ConnInfo;

/// A longer description is not read.
const MOST: usize = 8 * 1024;
/// A longer name in it is cut.
const LONGEST_NAME: usize = 253;

/// A workload as its own proxy describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PeerWorkload {
    /// Workload (deployment) name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Label `app`.
    pub app: String,
    /// Label `version`.
    pub version: String,
    /// Canonical service.
    pub canonical_name: String,
    /// Canonical revision.
    pub canonical_revision: String,
    /// Cluster id.
    pub cluster: String,
}

/// Our own description, made once.
#[derive(Clone, Debug)]
pub struct Introduction {
    id: Box<[u8]>,
    metadata: Box<[u8]>,
}

impl Introduction {
    /// That of a node.
    pub fn of(node: &Node) -> Self {
        let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let structure = |fields: &[(&str, Value)]| Struct {
            fields: fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<HashMap<_, _>>(),
        };
        let labels = structure(&[
            ("app", text(node.label("app"))),
            ("version", text(node.label("version"))),
            ("service.istio.io/canonical-name", text(node.canonical_name())),
            ("service.istio.io/canonical-revision", text(node.canonical_revision())),
        ]);
        let whole = structure(&[
            ("NAME", text(&node.pod)),
            ("NAMESPACE", text(&node.namespace)),
            ("WORKLOAD_NAME", text(&node.workload)),
            ("CLUSTER_ID", text(&node.cluster)),
            ("LABELS", Value { kind: Some(Kind::StructValue(labels)) }),
        ]);
        Self {
            id: node.id.to_string().into_bytes().into(),
            metadata: STANDARD.encode(whole.encode_to_vec()).into_bytes().into(),
        }
    }

    /// Adds it to a request that stays in the mesh.
    pub fn add(&self, head: &mut RequestHead) {
        head.fields.set(Known::XEnvoyPeerMetadataId, &self.id);
        head.fields.set(Known::XEnvoyPeerMetadata, &self.metadata);
    }
}

/// Takes it out of a request that leaves the mesh.
pub(crate) fn remove(head: &mut RequestHead) {
    head.fields.retain(|known, _, _| !matches!(known, Known::XEnvoyPeerMetadata | Known::XEnvoyPeerMetadataId));
}

/// Takes the caller's description out of a request, and remembers it if the caller is proven to be of the mesh.
pub(crate) fn take(head: &mut RequestHead, conn: &ConnInfo) {
    if conn.peer_identity().is_some()
        && conn.peer_workload.get().is_none()
        && let Some(told) = head.fields.get(Known::XEnvoyPeerMetadata)
        && let Some(workload) = read(told)
    {
        // Set already is as good.
        let _ = conn.peer_workload.set(Arc::new(workload));
    }
    remove(head);
}

fn read(told: &[u8]) -> Option<PeerWorkload> {
    if told.len() > MOST {
        return None;
    }
    let whole = Struct::decode(STANDARD.decode(told).ok()?.as_slice()).ok()?;
    let text = |fields: &Struct, name: &str| match fields.fields.get(name).and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text.chars().take(LONGEST_NAME).collect(),
        _ => String::new(),
    };
    let none = Struct::default();
    let labels = match whole.fields.get("LABELS").and_then(|value| value.kind.as_ref()) {
        Some(Kind::StructValue(labels)) => labels,
        _ => &none,
    };
    Some(PeerWorkload {
        name: text(&whole, "WORKLOAD_NAME"),
        namespace: text(&whole, "NAMESPACE"),
        cluster: text(&whole, "CLUSTER_ID"),
        app: text(labels, "app"),
        version: text(labels, "version"),
        canonical_name: text(labels, "service.istio.io/canonical-name"),
        canonical_revision: text(labels, "service.istio.io/canonical-revision"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_told_is_understood() {
        let node = Node {
            id: "sidecar~10.0.0.1~a-1.shop~shop.svc.cluster.local".parse().unwrap(),
            pod: "a-1".into(),
            namespace: "shop".into(),
            service_account: "a".into(),
            trust_domain: Default::default(),
            cluster: "c1".into(),
            workload: "a".into(),
            labels: [("app".to_owned(), "front".to_owned()), ("version".to_owned(), "v2".to_owned())].into(),
        };
        let mut head = RequestHead::default();
        Introduction::of(&node).add(&mut head);
        let read = read(head.fields.get(Known::XEnvoyPeerMetadata).unwrap()).unwrap();
        let wanted = ["a", "shop", "front", "v2", "front", "v2", "c1"].map(str::to_owned);
        let PeerWorkload { name, namespace, app, version, canonical_name, canonical_revision, cluster } = read;
        assert_eq!([name, namespace, app, version, canonical_name, canonical_revision, cluster], wanted);
        remove(&mut head);
        assert!(head.fields.is_empty());
    }

    proptest! {
        #[test]
        fn anything_may_be_told(bytes in proptest::collection::vec(any::<u8>(), 0..200), encoded in any::<bool>()) {
            let told = if encoded { STANDARD.encode(&bytes).into_bytes() } else { bytes };
            let _ = read(&told);
        }
    }
}
