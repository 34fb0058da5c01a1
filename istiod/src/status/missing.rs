//! Proxies that are not connected: they have nothing, and a count of those that are would hide them.

use galley::api::Pod;
use galley::{Object, Objects};

use crate::flags::Place;

/// What the injector writes into every pod that it gives a proxy.
const INJECTED: &str = "sidecar.istio.io/status";
const REVISION: &str = "istio.io/rev";

/// How many proxies there are by what Kubernetes says: ready pods that this revision injected. A ready proxy was
/// connected once; one that is not now comes back. 0 if there are other replicas: whom those serve, nobody tells us.
pub(super) fn proxies(objects: &Objects, place: &Place) -> usize {
    let ready = || objects.pods.values().filter(|pod| is_ready(pod));
    if ready().filter(|pod| is_replica(pod, place)).count() > 1 {
        return 0;
    }
    ready()
        .filter(|pod| pod.meta.annotations.contains_key(INJECTED) && is_of(pod.meta.annotations.get(REVISION), place))
        .count()
}

fn is_replica(pod: &Object<Pod>, place: &Place) -> bool {
    let labels = &pod.meta.labels;
    *pod.meta.namespace == *place.namespace
        && labels.get("app").is_some_and(|app| app == "istiod")
        && is_of(labels.get(REVISION), place)
}

fn is_of(revision: Option<&String>, place: &Place) -> bool {
    revision.is_some_and(|revision| *revision == place.revision)
}

fn is_ready(pod: &Object<Pod>) -> bool {
    pod.spec.status.conditions.iter().any(|one| one.condition_type == "Ready" && one.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        place: Place,
    }

    fn pod(name: &str, namespace: &str, labels: &str, annotations: &str, ready: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}, \
             annotations: {{{annotations}}}}}\nstatus: {{conditions: [{{type: Ready, status: '{ready}'}}]}}\n---\n"
        )
    }

    #[test]
    fn ready_pods_of_this_revision_have_proxies() {
        let place = Arguments::parse_from(["test", "--revision", "blue"]).place;
        let count = |pods: &[String]| {
            let loaded = galley::load(&"test.yaml".into(), &pods.concat());
            assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
            proxies(&Objects::new(loaded.objects), &place)
        };
        let ours = "sidecar.istio.io/status: '{}', istio.io/rev: blue";
        let istiod = |name: &str, revision: &str| {
            pod(name, "istio-system", &format!("app: istiod, istio.io/rev: {revision}"), "", "True")
        };
        let mut pods = vec![
            istiod("istiod-blue", "blue"),
            istiod("istiod-green", "green"),
            pod("a", "shop", "", ours, "True"),
            pod("b", "shop", "", ours, "True"),
            pod("not-ready", "shop", "", ours, "False"),
            pod("other", "shop", "", "sidecar.istio.io/status: '{}', istio.io/rev: green", "True"),
            pod("plain", "shop", "", "", "True"),
        ];
        assert_eq!(count(&pods), 2);
        pods.push(istiod("istiod-blue-2", "blue"));
        assert_eq!(count(&pods), 0, "some may be connected to the other replica");
    }
}
