//! Injected twice is injected once; and what changed in between is found.

use injector::{Outcome, Reason};
use serde_json::{Value, json};

use crate::golden;
use crate::tools::{container, injected, outcome, pod, settings, variable};

#[test]
fn injected_twice_is_injected_once() {
    for (name, case) in golden::cases() {
        if let Outcome::Injected(injection) = case.outcome(&case.pod) {
            let again = case.outcome(&injection.pod);
            assert_eq!(again, Outcome::LeftAlone(Reason::AlreadyInjected), "{name}: {again}");
        }
    }
}

#[test]
fn a_pod_that_was_changed_since_is_as_if_it_had_been_so_before() {
    let settings = settings(json!({}));
    let more =
        json!({ "name": "more", "ports": [{ "containerPort": 81 }], "livenessProbe": { "httpGet": { "port": 81 } } });
    for native in ["true", "false"] {
        let mut changed_before = pod(json!({
            "sidecar.istio.io/nativeSidecar": native, "prometheus.io/port": "8080", "prometheus.io/path": "/m",
        }));
        changed_before["spec"]["containers"][0]["readinessProbe"] = json!({ "tcpSocket": { "port": "http" } });
        let mut changed_since = injected(&settings, &changed_before).pod;
        for pod in [&mut changed_before, &mut changed_since] {
            pod["spec"]["containers"].as_array_mut().unwrap().push(more.clone());
        }
        let (before, since) = (injected(&settings, &changed_before).pod, injected(&settings, &changed_since).pod);
        assert_eq!(before, since);
        let proxy = container(&since, "istio-proxy");
        assert_eq!(variable(proxy, "ISTIO_META_APP_CONTAINERS"), Some("app,more"));
        let probers: Value = serde_json::from_str(variable(proxy, "ISTIO_KUBE_APP_PROBERS").unwrap()).unwrap();
        assert_eq!(probers["/app-health/app/readyz"]["tcpSocket"]["port"], json!(8080));
        assert_eq!(probers["/app-health/more/livez"]["httpGet"]["port"], json!(81));
    }
}

#[test]
fn a_status_without_a_proxy_keeps_nobody_out() {
    let status = r#"{"containers":["istio-proxy","app"],"initContainers":["istio-init"],"volumes":["data"]}"#;
    let mut pod = pod(json!({ "sidecar.istio.io/status": status }));
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    let injected = injected(&settings(json!({})), &pod).pod;
    assert_eq!(crate::tools::names(&injected, "containers"), ["app", "istio-proxy"]);
    assert_eq!(injected["spec"]["volumes"][0], json!({ "name": "data", "emptyDir": {} }));
}

#[test]
fn what_the_injector_writes_is_not_written_by_others() {
    let cases = [
        (json!({ "sidecar.istio.io/status": "injected" }), "annotation sidecar.istio.io/status: is none that"),
        (
            json!({ "proxy.istio.io/overrides": "{}" }),
            "annotation proxy.istio.io/overrides: is written by the injector",
        ),
        (
            json!({ "sidecar.istio.io/status": "{}", "proxy.istio.io/overrides": r#"{"containers":[{"name":"app"}]}"# }),
            "annotation proxy.istio.io/overrides: containers holds \"app\"",
        ),
    ];
    for (annotations, sentence) in cases {
        match outcome(&settings(json!({})), &pod(annotations)) {
            Outcome::Refused(refusal) => assert!(refusal.to_string().starts_with(sentence), "{refusal}"),
            other => panic!("{other}"),
        }
    }
}
