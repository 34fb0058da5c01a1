//! Proxies that are connected to no replica: they have nothing, and a count of those that are would hide them.

use std::collections::{BTreeMap, BTreeSet};

use galley::api::Pod;
use galley::{Object, Objects};
use mesh_types::NodeId;

use super::standing::REVISION;

/// What the injector writes into every pod that it gives a proxy.
const INJECTED: &str = "sidecar.istio.io/status";

/// How many proxies of each revision are missing among the `connected`, by node id: those of ready pods that were
/// injected. A ready proxy was connected once; one that is not now comes back.
pub(super) fn proxies<'a>(objects: &Objects, connected: impl Iterator<Item = &'a String>) -> BTreeMap<String, usize> {
    let ids = connected.filter_map(|id| id.parse::<NodeId>().ok());
    let connected: BTreeSet<(String, String)> = ids.map(|id| (id.namespace, id.workload)).collect();
    let is_missing = |pod: &&Object<Pod>| {
        is_ready(pod)
            && pod.meta.annotations.contains_key(INJECTED)
            && !connected.contains(&(pod.meta.namespace.to_string(), pod.meta.name.to_string()))
    };
    let mut missing = BTreeMap::new();
    for pod in objects.pods.values().filter(is_missing) {
        let revision = pod.meta.annotations.get(REVISION).cloned().unwrap_or_default();
        *missing.entry(revision).or_default() += 1;
    }
    missing
}

/// As Kubernetes says.
pub(super) fn is_ready(pod: &Object<Pod>) -> bool {
    pod.spec.status.conditions.iter().any(|one| one.condition_type == "Ready" && one.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, annotations: &str, ready: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, annotations: {{{annotations}}}}}\n\
             status: {{conditions: [{{type: Ready, status: '{ready}'}}]}}\n---\n"
        )
    }

    #[test]
    fn ready_pods_that_were_injected_and_are_not_connected_are_missing() {
        let of = |revision: &str| format!("sidecar.istio.io/status: '{{}}', istio.io/rev: {revision}");
        let pods = [
            pod("a", &of("blue"), "True"),
            pod("b", &of("blue"), "True"),
            pod("c", &of("blue"), "True"),
            pod("not-ready", &of("blue"), "False"),
            pod("other", &of("green"), "True"),
            pod("plain", "", "True"),
        ];
        let loaded = galley::load(&"test.yaml".into(), &pods.concat());
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        // One that is connected and not ready makes up for no other.
        let connected = ["a", "not-ready"].map(|pod| format!("sidecar~10.0.0.1~{pod}.shop~shop.svc.cluster.local"));
        let missing = proxies(&Objects::new(loaded.objects), connected.iter());
        assert_eq!(missing, [("blue".to_owned(), 2), ("green".to_owned(), 1)].into());
    }
}
