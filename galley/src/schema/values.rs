//! The settings of the mesh as the values of a chart: JSON Schema, which Helm checks.

use serde_json::{Map, Value, json};

use super::{Schema, UNSERVED};
use crate::api::MeshConfig;

/// The schema of `meshConfig` among the values of the chart `istiod`. Unlike the API server's it refuses what does not
/// exist or is not served, since no webhook looks at it afterwards.
pub fn mesh_config() -> Value {
    strict(MeshConfig::schema())
}

fn strict(schema: Value) -> Value {
    let Value::Object(fields) = schema else { return schema };
    let is_message = fields.get("type").and_then(Value::as_str) == Some("object") && fields.contains_key("properties");
    let mut out = Map::new();
    for (key, value) in fields {
        match key.as_str() {
            "properties" => {
                let Value::Object(properties) = value else { continue };
                let served = properties.into_iter().filter(|(_, schema)| schema.get(UNSERVED).is_none());
                out.insert(key, served.map(|(name, schema)| (name, strict(schema))).collect::<Map<_, _>>().into());
            }
            "items" | "additionalProperties" => drop(out.insert(key, strict(value))),
            "format" | "x-kubernetes-validations" | "x-kubernetes-preserve-unknown-fields" => {}
            _ => drop(out.insert(key, value)),
        }
    }
    if is_message {
        out.insert("additionalProperties".to_owned(), json!(false));
    }
    out.into()
}
