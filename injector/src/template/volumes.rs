//! Volumes of the proxy and where they are mounted.

use serde_json::{Value, json};

use crate::json::{self, Object};
use crate::plan::Plan;

/// Name of a volume and its place in the proxy.
const MOUNTS: &[(&str, &str)] = &[
    ("workload-socket", "/var/run/secrets/workload-spiffe-uds"),
    ("credential-socket", "/var/run/secrets/credential-uds"),
    ("workload-certs", "/var/run/secrets/workload-spiffe-credentials"),
    ("istiod-ca-cert", "/var/run/secrets/istio"),
    ("istio-ca-crl", "/var/run/secrets/istio/crl"),
    ("istio-data", "/var/lib/istio/data"),
    ("istio-envoy", "/etc/istio/proxy"),
    ("istio-token", "/var/run/secrets/tokens"),
    ("istio-podinfo", "/etc/istio/pod"),
];

/// The volumes, the user's own last. A name that is the user's own replaces ours.
pub(crate) fn of_pod(plan: &Plan<'_>) -> Vec<Object> {
    let users = &plan.asks.user_volumes;
    let ours = MOUNTS.iter().filter(|(name, _)| !users.contains_key(*name));
    let ours = ours.map(|(name, _)| named(name, source(name)));
    ours.chain(users.iter().map(|(name, source)| named(name, source.clone()))).collect()
}

/// True if a volume of this name is added to every pod.
pub(crate) fn is_ours(name: &str) -> bool {
    MOUNTS.iter().any(|(ours, _)| *ours == name)
}

/// Where the proxy has them. A place that is the user's own replaces ours.
pub(super) fn mounts(plan: &Plan<'_>) -> Vec<Value> {
    let users = &plan.asks.user_volume_mounts;
    let taken = |path: &str| users.values().any(|mount| mount["mountPath"] == path);
    let ours = MOUNTS.iter().filter(|(_, path)| !taken(path));
    let ours = ours.map(|(name, path)| json!({ "name": name, "mountPath": path }));
    ours.chain(users.iter().map(|(name, mount)| named(name, mount.clone()).into())).collect()
}

fn named(name: &str, rest: Value) -> Object {
    let mut object = json::object(rest);
    object.insert("name".to_owned(), name.into());
    object
}

fn source(name: &str) -> Value {
    match name {
        "istio-envoy" => json!({ "emptyDir": { "medium": "Memory" } }),
        "istiod-ca-cert" => json!({ "configMap": { "name": "istio-ca-root-cert" } }),
        // There is one only if something is revoked.
        "istio-ca-crl" => json!({ "configMap": { "name": "istio-ca-crl", "optional": true } }),
        // Citadel believes tokens for its own audience only; half a day is renewed long before by the kubelet.
        "istio-token" => json!({ "projected": { "sources": [{ "serviceAccountToken": {
            "path": "istio-token", "audience": "istio-ca", "expirationSeconds": 43200,
        } }] } }),
        "istio-podinfo" => json!({ "downwardAPI": { "items": [
            { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } },
            { "path": "annotations", "fieldRef": { "fieldPath": "metadata.annotations" } },
        ] } }),
        _ => json!({ "emptyDir": {} }),
    }
}
