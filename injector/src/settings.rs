//! What the injector was told: the chart's values, the mesh's settings, and facts about the cluster. Everything that
//! is wrong with them is said at once, before the first pod.

mod facts;
mod mesh;
mod unserved;
pub(crate) mod values;

use std::fmt;

use serde_json::Value;

pub use facts::{Facts, KubernetesVersion, NativeSidecars, UnreadableVersion};

use crate::decide::Policy;
use crate::proxy_config::{self, ProxyConfig};
use crate::template::Template;
use values::Values;

/// Settings of the injector, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) values: Values,
    pub(crate) policy: Policy,
    pub(crate) default_template: Template,
    /// `defaultConfig` of the mesh.
    pub(crate) proxy_config: ProxyConfig,
    pub(crate) trust_domain: String,
    /// Whether metrics of application and proxy are served on one port.
    pub(crate) prometheus_merge: bool,
    pub(crate) facts: Facts,
}

/// What is wrong with the settings, all of it, each with the path of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(pub Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the injector's settings are not usable:\n  - {}", self.0.join("\n  - "))
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the chart's values (JSON or YAML; ConfigMap `istio-sidecar-injector`, key `values`) and `MeshConfig`
    /// (YAML; ConfigMap `istio`, key `mesh`). What is absent has the chart's defaults.
    ///
    /// # Errors
    /// With every value that cannot be understood, or asks for what is not served.
    pub fn read(values: &str, mesh: &str, facts: Facts) -> Result<Self, SettingsError> {
        let mut problems = Vec::new();
        let tree = parse(values, "values", &mut problems);
        problems.extend(unserved::asked_for(&tree));
        let values: Values = typed(tree, "values", &mut problems);
        problems.extend(values.problems());
        let mut mesh: mesh::Mesh = typed(parse(mesh, "mesh", &mut problems), "mesh", &mut problems);
        // Pilot configures gateways by it; the proxy itself knows no such setting.
        mesh.default_config.remove("gatewayTopology");
        let wrong = proxy_config::problems(&mesh.default_config);
        problems.extend(wrong.into_iter().map(|problem| format!("mesh: defaultConfig.{problem}")));
        let default_template = default_template(&values).unwrap_or_else(|wrong| {
            problems.push(wrong);
            Template::default()
        });
        let policy = Policy::read(&values).unwrap_or_else(|wrong| {
            problems.extend(wrong);
            Policy::default()
        });
        if !problems.is_empty() {
            return Err(SettingsError(problems));
        }
        let trust_domain = [&mesh.trust_domain, &values.global.trust_domain].into_iter().find(|name| !name.is_empty());
        Ok(Self {
            policy,
            default_template,
            proxy_config: ProxyConfig::of_mesh(mesh.default_config, &values),
            trust_domain: trust_domain.map_or("cluster.local", String::as_str).to_owned(),
            prometheus_merge: mesh.enable_prometheus_merge.unwrap_or(true),
            values,
            facts,
        })
    }

    /// The revision that injects; empty or `default` for the one whose objects have no name of their own.
    pub fn revision(&self) -> &str {
        &self.values.revision
    }
}

/// What pods have that name no template.
fn default_template(values: &Values) -> Result<Template, String> {
    let templates = values.sidecar_injector_webhook.default_templates.join(",");
    if templates.is_empty() {
        return Ok(Template::default());
    }
    templates.parse().map_err(|problem| format!("values: sidecarInjectorWebhook.defaultTemplates: {problem}"))
}

/// JSON or YAML without its nulls: a null is as good as an absent value.
fn parse(text: &str, what: &str, problems: &mut Vec<String>) -> Value {
    let read: Result<Option<Value>, _> = serde_yaml_ng::from_str(text);
    let tree = read.unwrap_or_else(|error| {
        problems.push(format!("{what}: {error}"));
        None
    });
    let mut tree = tree.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    drop_nulls(&mut tree);
    tree
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn typed<T: serde::de::DeserializeOwned + Default>(tree: Value, what: &str, problems: &mut Vec<String>) -> T {
    serde_path_to_error::deserialize(tree).unwrap_or_else(|error| {
        problems.push(format!("{what}: {}: {}", error.path(), error.inner()));
        T::default()
    })
}
