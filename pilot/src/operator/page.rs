//! Istio's debug pages that are served, by name: over HTTP as `/debug/<name>`, over xDS as `istioctl x internal-debug` asks.

use serde_json::{Value, json};

use crate::push::Shown;

/// Where they are over HTTP, and what each tells.
pub const DEBUG_PAGES: [(&str, &str); 4] = [
    ("/debug/clusterz", "Clusters whose objects are read"),
    ("/debug/connections", "Proxies that are connected"),
    ("/debug/list", "Names of these pages"),
    ("/debug/syncz", "What each proxy was sent, has taken and has refused"),
];

/// Their names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    DEBUG_PAGES.iter().filter_map(|(path, _)| path.strip_prefix("/debug/"))
}

/// A page that tells of these proxies; `None` if there is none of that name.
pub(crate) fn page(name: &str, proxies: &[Shown]) -> Option<Value> {
    match name {
        "list" => Some(names().filter(|name| *name != "list").collect()),
        "clusterz" => Some(json!([{ "id": cluster(proxies), "secretName": "", "syncStatus": "synced" }])),
        "syncz" => Some(proxies.iter().map(standing).collect()),
        "connections" => Some(json!({
            "totalClients": proxies.len(),
            "clients": proxies.iter().map(connection).collect::<Vec<_>>(),
        })),
        _ => None,
    }
}

/// The only cluster that there is, by the name that its proxies give it.
fn cluster(proxies: &[Shown]) -> &str {
    proxies.iter().map(|proxy| proxy.cluster.as_str()).find(|name| !name.is_empty()).unwrap_or("Kubernetes")
}

/// How a proxy stands: Istio's `SyncStatus`, and all else that is known of it.
fn standing(shown: &Shown) -> Value {
    let resources = shown.told.iter().map(|kind| {
        let error = shown.refused.get(kind.word());
        (kind.url().to_owned(), error.map_or_else(|| json!({}), |error| json!({ "lastError": error })))
    });
    let mut standing = json!(shown);
    standing["proxy"] = super::name(shown).into();
    standing["node"] = shown.proxy.as_str().into();
    standing["proxy_type"] = shown.proxy.split('~').next().unwrap_or_default().into();
    standing["resources"] = Value::Object(resources.collect());
    standing
}

fn connection(shown: &Shown) -> Value {
    json!({
        "connectionId": super::name(shown),
        "metadata": { "ISTIO_VERSION": shown.version, "CLUSTER_ID": shown.cluster },
    })
}
