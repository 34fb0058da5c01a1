//! What of `MeshConfig` concerns injection. Galley reads and checks the whole.

use serde::Deserialize;

use crate::json::Object;

/// The part of `MeshConfig` that injection looks at.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Mesh {
    pub(super) default_config: Object,
    pub(super) trust_domain: String,
    pub(super) enable_prometheus_merge: Option<bool>,
}
