//! `AdmissionReview`, in and out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use injector::{Outcome, Reason, Review, review};
use serde_json::{Value, json};

use crate::tools::{container, pod, settings, variable};

fn request(version: &str, pod: &Value) -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": format!("admission.k8s.io/{version}"),
        "request": {
            "uid": "7", "namespace": "shop", "operation": "CREATE", "dryRun": false,
            "resource": { "group": "", "version": "v1", "resource": "pods" }, "object": pod,
        },
    })
}

fn answer(path: &str, request: &Value) -> (Review, Value) {
    let review = review(&settings(json!({})), path, request.to_string().as_bytes()).unwrap();
    let response = serde_json::from_slice(&review.response).unwrap();
    (review, response)
}

#[test]
fn a_pod_comes_back_with_a_patch() {
    for version in ["v1", "v1beta1"] {
        let pod = pod(json!({}));
        let (review, answer) = answer("/inject/cluster/west/net/blue", &request(version, &pod));
        assert_eq!(review.pod, "shop/web");
        assert_eq!(answer["apiVersion"], format!("admission.k8s.io/{version}"));
        let response = &answer["response"];
        assert_eq!((&response["uid"], &response["allowed"]), (&json!("7"), &json!(true)));
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
        let mut patched = pod;
        let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
        json_patch::patch(&mut patched, &patch).unwrap();
        assert_eq!(variable(container(&patched, "istio-proxy"), "ISTIO_META_CLUSTER_ID"), Some("west"));
        assert_eq!(patched["metadata"]["labels"]["topology.istio.io/network"], "blue");
        let Outcome::Injected(injection) = review.outcome else { panic!("{}", review.outcome) };
        assert_eq!(patched, injection.pod);
    }
}

#[test]
fn what_the_owner_should_know_is_told() {
    let mut pod = pod(json!({}));
    pod["spec"]["containers"][0]["securityContext"] = json!({ "runAsUser": 1337 });
    let (_, answer) = answer("/inject", &request("v1", &pod));
    assert_eq!(
        answer["response"]["warnings"],
        json!(["container app runs as the proxy's user 1337: its traffic goes past the proxy, in plain text"])
    );
}

#[test]
fn a_refusal_says_why() {
    let (_, answer) = answer("/inject", &request("v1", &pod(json!({ "sidecar.istio.io/interceptionMode": "TPROXY" }))));
    let response = &answer["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("7"), &json!(false)));
    assert_eq!(
        response["status"]["message"],
        "the sidecar cannot be injected: annotation sidecar.istio.io/interceptionMode: TPROXY is not served; use REDIRECT"
    );
    assert_eq!(response.get("patch"), None);
}

#[test]
fn what_is_left_alone_is_allowed_without_a_patch() {
    let mut update = request("v1", &pod(json!({})));
    update["request"]["operation"] = "UPDATE".into();
    let mut other = request("v1", &pod(json!({})));
    other["request"]["resource"]["resource"] = "services".into();
    let mut system = request("v1", &pod(json!({})));
    system["request"]["namespace"] = "kube-system".into();
    let rows = [
        (update, Reason::NotACreation("UPDATE pods".to_owned())),
        (other, Reason::NotACreation("CREATE services".to_owned())),
        (system, Reason::SystemNamespace("kube-system".to_owned())),
    ];
    for (request, reason) in rows {
        let (review, answer) = answer("/inject", &request);
        assert_eq!(review.outcome, Outcome::LeftAlone(reason));
        assert_eq!(answer["response"], json!({ "uid": "7", "allowed": true }));
    }
}

/// `istioctl kube-inject` asks so.
#[test]
fn a_review_without_a_name_is_answered_without_one() {
    let mut nameless = request("v1", &pod(json!({})));
    nameless["request"]["uid"] = Value::Null;
    let (review, answer) = answer("/inject", &nameless);
    assert!(matches!(review.outcome, Outcome::Injected(_)), "{:?}", review.outcome);
    assert_eq!(answer["response"]["uid"], "");
}

#[test]
fn what_is_no_review_is_no_review() {
    let settings = settings(json!({}));
    let bodies = [
        "",
        "[]",
        "{}",
        r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v2"}"#,
        r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#,
    ];
    for body in bodies {
        assert!(review(&settings, "/inject", body.as_bytes()).is_err(), "{body}");
    }
    let good = request("v1", &pod(json!({}))).to_string();
    for path in ["/", "/validate", "/inject/cluster"] {
        assert!(review(&settings, path, good.as_bytes()).is_err(), "{path}");
    }
}
