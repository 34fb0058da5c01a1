//! Objects of files.

use injector::{Outcome, inject_object};
use serde_json::{Value, json};

use crate::tools::{container, settings, variable};

fn template() -> Value {
    json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "app" }] } })
}

#[test]
fn every_kind_with_pods_is_injected() {
    // apiVersion, kind, where the template is
    let rows = [
        ("v1", "PodTemplate", "/template"),
        ("v1", "ReplicationController", "/spec/template"),
        ("apps/v1", "DaemonSet", "/spec/template"),
        ("apps/v1", "Deployment", "/spec/template"),
        ("apps/v1", "ReplicaSet", "/spec/template"),
        ("apps/v1", "StatefulSet", "/spec/template"),
        ("batch/v1", "Job", "/spec/template"),
        ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template"),
    ];
    for (api_version, kind, pointer) in rows {
        let body = pointer.split('/').skip(1).collect::<Vec<_>>();
        let mut object = body.iter().rev().fold(template(), |inner, key| json!({ *key: inner }));
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({ "name": "web" });
        let report = inject_object(&settings(json!({})), "shop", &mut object);
        assert!(report.is_changed(), "{kind}");
        assert_eq!(report.pods[0].0, format!("{kind} shop/web"));
        let proxy = container(object.pointer(pointer).unwrap(), "istio-proxy");
        let owner = format!("kubernetes://apis/{api_version}/namespaces/shop/{}s/web", kind.to_lowercase());
        assert_eq!(variable(proxy, "ISTIO_META_OWNER"), Some(owner.as_str()));
        assert_eq!(variable(proxy, "ISTIO_META_WORKLOAD_NAME"), Some("web"));
    }
}

#[test]
fn lists_are_gone_through_and_others_passed_on() {
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" }, "spec": {} });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "namespace": "own" },
        "spec": { "containers": [{ "name": "app" }] },
    });
    let mut out = pod.clone();
    out["metadata"]["labels"] = json!({ "sidecar.istio.io/inject": "false" });
    let mut list = json!({ "apiVersion": "v1", "kind": "List", "items": [service, pod, out] });
    let report = inject_object(&settings(json!({})), "shop", &mut list);
    assert_eq!(report.pods.iter().map(|(pod, _)| pod.as_str()).collect::<Vec<_>>(), ["Pod own/a", "Pod own/a"]);
    assert!(matches!(report.pods[1].1, Outcome::LeftAlone(_)));
    assert_eq!((&list["items"][0], &list["items"][2]), (&service, &out));
    assert!(container(&list["items"][1], "istio-proxy").is_object());
    for other in [json!(null), json!([]), json!({ "kind": "Deployment" }), json!({ "kind": "List", "items": {} })] {
        let mut object = other.clone();
        assert!(inject_object(&settings(json!({})), "shop", &mut object).pods.is_empty());
        assert_eq!(object, other);
    }
}
