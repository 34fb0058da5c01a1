//! The environment of the proxy, as Istio's injector sets it: the proxy and other tools read it. One variable is ours: how
//! long a pod has that ends, which bounds the drain.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::json;
use crate::plan::Plan;
use crate::template::Template;

/// The environment, in Istio's order. What the user sets in `proxyMetadata` or the webhook's path replaces what stands
/// here under the same name.
pub(super) fn of_proxy(plan: &Plan<'_>) -> Vec<Value> {
    let mut env = Environment::default();
    control_plane(&mut env, plan);
    identity(&mut env);
    env.set("PROXY_CONFIG", &plan.config.to_json());
    env.set("ISTIO_META_POD_PORTS", &json::unexpanded(&plan.pod_ports));
    if plan.template == Template::Sidecar {
        env.set("ISTIO_META_APP_CONTAINERS", &plan.app_containers.join(","));
    }
    workload(&mut env, plan);
    if let Some(seconds) = plan.grace {
        env.set("TERMINATION_GRACE_PERIOD_SECONDS", &seconds.to_string());
    }
    plan.config.metadata().for_each(|(name, value)| env.set(name, value));
    plan.context.environment.iter().for_each(|(name, value)| env.set(name, value));
    env.variables
}

fn control_plane(env: &mut Environment, plan: &Plan<'_>) {
    let values = &plan.settings.values;
    env.set("PILOT_CERT_PROVIDER", "istiod");
    match values.global.ca_address.as_str() {
        "" => env.set("CA_ADDR", &values.control_plane()),
        address => env.set("CA_ADDR", address),
    }
}

fn identity(env: &mut Environment) {
    env.field("POD_NAME", "metadata.name");
    env.field("POD_NAMESPACE", "metadata.namespace");
    env.field("INSTANCE_IP", "status.podIP");
    env.field("SERVICE_ACCOUNT", "spec.serviceAccountName");
    env.field("HOST_IP", "status.hostIP");
    env.limit("ISTIO_CPU_LIMIT", "limits.cpu");
}

fn workload(env: &mut Environment, plan: &Plan<'_>) {
    let global = &plan.settings.values.global;
    let cluster = plan.context.cluster.as_ref().unwrap_or(&global.multi_cluster.cluster_name);
    env.set("ISTIO_META_CLUSTER_ID", if cluster.is_empty() { "Kubernetes" } else { cluster });
    env.field("ISTIO_META_NODE_NAME", "spec.nodeName");
    env.set("ISTIO_META_INTERCEPTION_MODE", "REDIRECT");
    if !plan.network.is_empty() {
        env.set("ISTIO_META_NETWORK", &plan.network);
    }
    if !plan.workload_name.is_empty() {
        env.set("ISTIO_META_WORKLOAD_NAME", &plan.workload_name);
    }
    if !plan.workload.name.is_empty() {
        env.set("ISTIO_META_OWNER", &plan.workload.uri(&plan.context.namespace));
    }
    let trust_domain = &plan.settings.trust_domain;
    let meshes = [plan.config.mesh_id(), &global.mesh_id, trust_domain];
    env.set("ISTIO_META_MESH_ID", meshes.into_iter().find(|name| !name.is_empty()).unwrap_or_default());
    env.set("TRUST_DOMAIN", trust_domain);
}

/// Variables in the order in which they were first set, and where each name stands.
#[derive(Default)]
struct Environment {
    variables: Vec<Value>,
    places: HashMap<String, usize>,
}

impl Environment {
    fn set(&mut self, name: &str, value: &str) {
        self.put(name, json!({ "name": name, "value": value }));
    }

    /// A field of the pod, filled in by the kubelet.
    fn field(&mut self, name: &str, path: &str) {
        self.put(name, json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } }));
    }

    /// A limit of the container, filled in by the kubelet.
    fn limit(&mut self, name: &str, limit: &str) {
        self.put(name, json!({ "name": name, "valueFrom": { "resourceFieldRef": { "resource": limit } } }));
    }

    fn put(&mut self, name: &str, variable: Value) {
        let place = *self.places.entry(name.to_owned()).or_insert(self.variables.len());
        match self.variables.get_mut(place) {
            Some(earlier) => *earlier = variable,
            None => self.variables.push(variable),
        }
    }
}
