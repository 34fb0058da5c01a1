//! Istio's debug pages that are served, by name: over HTTP as `/debug/<name>`, over xDS as `istioctl x internal-debug` asks.

use serde_json::{Value, json};

use crate::push::Shown;

/// Their names, as Istio's page `list` tells them.
pub(super) const NAMES: &[&str] = &["connections", "list", "syncz"];

/// A page that tells of these proxies; `None` if there is none of that name.
pub(crate) fn page(name: &str, proxies: &[Shown]) -> Option<Value> {
    match name {
        "list" => Some(NAMES.iter().filter(|name| **name != "list").copied().collect()),
        "syncz" => Some(json!(proxies)),
        "connections" => Some(json!({
            "totalClients": proxies.len(),
            "clients": proxies.iter().map(connection).collect::<Vec<_>>(),
        })),
        _ => None,
    }
}

fn connection(shown: &Shown) -> Value {
    json!({
        "connectionId": shown.proxy,
        "metadata": { "ISTIO_VERSION": shown.version, "CLUSTER_ID": shown.cluster },
    })
}
