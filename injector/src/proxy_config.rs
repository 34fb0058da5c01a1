//! `ProxyConfig`, the settings of one proxy, as layers: the mesh's `defaultConfig`, then the pod's annotation
//! `proxy.istio.io/config`, then single annotations. As in Istio a field of a later layer replaces the earlier one's,
//! but `proxyMetadata` is merged key by key.

mod fields;

use serde_json::{Value, json};

use crate::json::{self, Object};
use crate::settings::values::Values;

const MOST_PROBLEMS: usize = 100;

/// Merged settings of one proxy, in the JSON form that it reads from `PROXY_CONFIG`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyConfig(Object);

impl ProxyConfig {
    /// The mesh's. Where the mesh does not say where its control plane is, it is where the chart puts it.
    pub(crate) fn of_mesh(default_config: Object, values: &Values) -> Self {
        let mut config = Self::default();
        config.set("discoveryAddress", json!(values.control_plane()));
        config.set("statusPort", json!(values.global.proxy.status_port));
        config.overlay(default_config);
        config
    }

    /// One annotation's worth of YAML.
    ///
    /// # Errors
    /// If it is no mapping.
    pub(crate) fn layer(yaml: &str) -> Result<Object, String> {
        match serde_yaml_ng::from_str::<Option<Object>>(yaml) {
            Ok(layer) => Ok(layer.unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null()).collect()),
            Err(error) => Err(format!("is no ProxyConfig in YAML: {error}")),
        }
    }

    /// Puts a layer over what there is.
    pub(crate) fn overlay(&mut self, layer: Object) {
        for (field, value) in layer {
            match (field.as_str(), value) {
                ("proxyMetadata", Value::Object(metadata)) => {
                    json::object_in(&mut self.0, "proxyMetadata").extend(metadata);
                }
                (field, _) if fields::WITHOUT_EFFECT.contains(&field) => {}
                (_, value) => drop(self.0.insert(field, value)),
            }
        }
    }

    /// Sets one field.
    pub(crate) fn set(&mut self, field: &str, value: Value) {
        self.0.insert(field.to_owned(), value);
    }

    /// Environment of the proxy that users set.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        let metadata = self.0.get("proxyMetadata").and_then(Value::as_object);
        metadata.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    /// Whether the application starts only after the proxy.
    pub(crate) fn holds_application(&self) -> bool {
        self.0.get("holdApplicationUntilProxyStarts").and_then(Value::as_bool) == Some(true)
    }

    /// Kind of the image: default, distroless, debug; empty if it does not say.
    pub(crate) fn image_type(&self) -> &str {
        self.0.get("image").and_then(|image| image.get("imageType")).and_then(Value::as_str).unwrap_or_default()
    }

    /// Port of readiness, merged metrics and rewritten probes.
    pub(crate) fn status_port(&self) -> u16 {
        let port = self.0.get("statusPort").and_then(Value::as_u64).and_then(|port| port.try_into().ok());
        port.unwrap_or(mesh_types::ports::STATUS)
    }

    /// Name of the mesh; empty if it does not say.
    pub(crate) fn mesh_id(&self) -> &str {
        json::text(&self.0, "meshId").unwrap_or_default()
    }

    /// As the proxy reads it.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

/// The fields of a layer that are taken though they do nothing here.
pub(crate) fn without_effect(layer: &Object) -> impl Iterator<Item = &str> {
    layer.keys().map(String::as_str).filter(|field| fields::WITHOUT_EFFECT.contains(field))
}

/// Everything that is wrong with one layer, as `<field>: <sentence>`.
pub(crate) fn problems(layer: &Object) -> Vec<String> {
    // More help nobody, and each costs a search for what was meant.
    layer.iter().flat_map(|(field, value)| fields::check(field, value)).take(MOST_PROBLEMS).collect()
}
