//! Labels and annotations by which others know a pod of the mesh, and what gateways need of their pod.

use mesh_types::Labels;
use serde_json::{Value, json};

use super::Template;
use crate::json;
use crate::plan::{NETWORK, Plan};
use crate::pod::Pod;

const CANONICAL_NAME: &str = "service.istio.io/canonical-name";
const CANONICAL_REVISION: &str = "service.istio.io/canonical-revision";
/// The longest value of a label.
const LONGEST: usize = 63;

/// Labels, annotations, pull secrets, sysctls. What the pod says itself stays.
pub(crate) fn apply(plan: &Plan<'_>, pod: &mut Pod) {
    labels(plan, pod);
    annotations(plan, pod);
    for name in &plan.settings.values.global.image_pull_secrets {
        if !pod.image_pull_secrets.iter().any(|secret| crate::pod::name(secret) == name) {
            pod.image_pull_secrets.push(json::object(json!({ "name": name })));
        }
    }
    if plan.template == Template::Gateway {
        gateway_security_context(plan, pod);
    }
}

fn labels(plan: &Plan<'_>, pod: &mut Pod) {
    let canonical_name = first(&pod.labels, &[CANONICAL_NAME, "app.kubernetes.io/name", "app"]);
    let canonical_name = canonical_name.unwrap_or_else(|| label_value(&plan.workload.name));
    let revision = first(&pod.labels, &[CANONICAL_REVISION, "app.kubernetes.io/version", "version"]);
    let mut default = |name: &str, value: String| {
        pod.labels.entry(name.to_owned()).or_insert(value);
    };
    if plan.template == Template::Sidecar {
        default("security.istio.io/tlsMode", "istio".to_owned());
    }
    if !canonical_name.is_empty() {
        default(CANONICAL_NAME, canonical_name);
    }
    default(CANONICAL_REVISION, revision.unwrap_or_else(|| "latest".to_owned()));
    if !plan.network.is_empty() {
        pod.labels.insert(NETWORK.to_owned(), plan.network.clone());
    }
}

fn first(labels: &Labels, names: &[&str]) -> Option<String> {
    names.iter().filter_map(|name| labels.get(*name)).find(|value| !value.is_empty()).cloned()
}

/// A name as the value of a label: not too long, and ending in a letter or digit.
fn label_value(name: &str) -> String {
    let end = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LONGEST).last();
    name[..end.unwrap_or(0)].trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

fn annotations(plan: &Plan<'_>, pod: &mut Pod) {
    let values = &plan.settings.values;
    let revision = if values.revision.is_empty() { "default" } else { &values.revision };
    pod.annotations.insert("istio.io/rev".to_owned(), revision.to_owned());
    if plan.template == Template::Sidecar {
        // So that `kubectl logs` and `kubectl exec` mean the application.
        for name in ["kubectl.kubernetes.io/default-logs-container", "kubectl.kubernetes.io/default-container"] {
            if let Some(container) = plan.app_containers.first() {
                pod.annotations.entry(name.to_owned()).or_insert_with(|| container.clone());
            }
        }
    }
    pod.annotations.extend(values.sidecar_injector_webhook.injected_annotations.clone());
}

/// Gateways listen on ports such as 80 without privileges.
fn gateway_security_context(plan: &Plan<'_>, pod: &mut Pod) {
    const LOW_PORTS: &str = "net.ipv4.ip_unprivileged_port_start";
    let context = json::object_in(pod.spec_mut(), "securityContext");
    let configured = &plan.settings.values.gateways.security_context;
    if !configured.is_empty() {
        for (key, value) in configured {
            context.entry(key.clone()).or_insert_with(|| value.clone());
        }
        return;
    }
    let sysctls: &mut Vec<Value> = json::list_in(context, "sysctls");
    if !sysctls.iter().any(|sysctl| sysctl["name"] == LOW_PORTS) {
        sysctls.push(json!({ "name": LOW_PORTS, "value": "0" }));
    }
}
