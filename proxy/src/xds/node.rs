//! Who we are, in Istio's metadata.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use serde_json::{Map, json};

use crate::config::Settings;

/// The node by which the control plane knows us.
pub(super) fn of(settings: &Settings) -> Node {
    let node = &settings.node;
    let mut metadata = json!({
        "NAME": *node.pod,
        "NAMESPACE": *node.namespace,
        "SERVICE_ACCOUNT": *node.service_account,
        "CLUSTER_ID": *node.cluster,
        "WORKLOAD_NAME": *node.workload,
        "LABELS": node.labels,
        "INSTANCE_IPS": node.id.ip.to_string(),
        "ISTIO_VERSION": env!("CARGO_PKG_VERSION"),
        "INTERCEPTION_MODE": "REDIRECT",
        (mesh_types::ON_DEMAND_METADATA): "true",
    });
    if let Some(topology) = &settings.topology {
        metadata["PROXY_CONFIG"] = json!({"gatewayTopology": topology});
    }
    Node {
        id: node.id.to_string(),
        cluster: format!("{}.{}", node.canonical_name(), node.namespace),
        metadata: metadata.as_object().map(fields),
        user_agent_name: "weft-proxy".to_owned(),
        ..Default::default()
    }
}

fn fields(object: &Map<String, serde_json::Value>) -> Struct {
    Struct { fields: object.iter().map(|(key, one)| (key.clone(), value(one))).collect() }
}

fn value(json: &serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(truth) => Kind::BoolValue(*truth),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(values) => Kind::ListValue(ListValue { values: values.iter().map(value).collect() }),
        serde_json::Value::Object(object) => Kind::StructValue(fields(object)),
    };
    Value { kind: Some(kind) }
}
