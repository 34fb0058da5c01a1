//! What becomes of an object: taken or refused at the door, and told of in its status.

use galley::Kind;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cluster_support::{Cluster, is_possible, virtual_service};
use crate::control_plane::{Istiod, condition, root_in, until};
use crate::proxy::connect;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_says_whether_an_object_is_valid_and_who_has_it() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.namespace("istio-system").await;
    cluster.define(Kind::VirtualService, &["v1"]).await;
    cluster.create(Kind::VirtualService, virtual_service("good", json!({"uri": {"prefix": "/"}}))).await;
    cluster.create(Kind::VirtualService, virtual_service("bad", json!({"url": {"prefix": "/"}}))).await;
    let istiod = Istiod::start(&cluster, "istiod-0").await;

    let bad = status(&cluster, "bad", |object| condition(object, "PassedValidation").is_some()).await;
    let valid = condition(&bad, "PassedValidation").unwrap();
    assert_eq!(valid["status"], "False");
    assert_eq!(valid["message"], "spec.http[0].match[0].url: unknown field; did you mean `uri`?");
    assert_eq!(condition(&bad, "Reconciled").unwrap()["reason"], "Refused");
    let good = status(&cluster, "good", |object| condition(object, "Reconciled").is_some()).await;
    assert_eq!(good["status"]["observedGeneration"], 1);
    assert_eq!(good["status"]["proxies"], json!({"current": 0, "total": 0}));

    let _proxy = connect(&istiod, "web-0", true).await;
    let one = json!({"current": 1, "total": 1});
    status(&cluster, "good", |object| object["status"]["proxies"] == one).await;

    // Mended, it is a new generation, which the proxy needs to have as well.
    let mended = json!({"spec": {"http": [{"match": [{"uri": {"prefix": "/"}}], "directResponse": {"status": 200}}]}});
    let api = cluster.api(Kind::VirtualService);
    api.patch("bad", &PatchParams::default(), &Patch::Merge(&mended)).await.unwrap();
    let mended = status(&cluster, "bad", |object| {
        object["status"]["observedGeneration"] == 2 && object["status"]["proxies"] == one
    })
    .await;
    assert_eq!(condition(&mended, "PassedValidation").unwrap()["status"], "True");
    assert_eq!(condition(&mended, "Reconciled").unwrap()["status"], "True");
}

fn validator(name: &str, policy: &str, port: u16) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name},
        "webhooks": [{
            "name": "validation.istio.io", "failurePolicy": policy, "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": {"name": "istiod", "namespace": "istio-system", "path": "/validate", "port": port}},
            "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": ["networking.istio.io"], "apiVersions": ["*"], "resources": ["*"]}],
        }],
    })
}

/// By this the API server finds the webhooks of an istiod that runs beside it.
fn istiod_here() -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "istiod", "namespace": "istio-system"},
           "spec": {"type": "ExternalName", "externalName": "localhost"}})
}

/// What is binding from before would refuse everything once it does not know our root any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validators_know_our_root_also_where_validation_is_not_ours_to_make_binding() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.namespace("istio-system").await;
    cluster.define(Kind::VirtualService, &["v1"]).await;
    let istiod = Istiod::start_without_validation(&cluster, "istiod-0").await;
    cluster.create(Kind::Service, istiod_here()).await;
    let configurations = cluster.validating_webhooks();
    let [binding, open] = [("istiod-default-validator", "Fail"), ("istio-validator-istio-system", "Ignore")];
    for (name, policy) in [binding, open] {
        let configuration = serde_json::from_value(validator(name, policy, istiod.webhooks.port())).unwrap();
        configurations.create(&PostParams::default(), &configuration).await.unwrap();
    }
    let webhook = |name: &'static str| {
        let configurations = &configurations;
        async move { configurations.get(name).await.ok()?.data.pointer("/webhooks/0").cloned() }
    };
    for (name, _) in [binding, open] {
        until("the configuration has the root", || async {
            webhook(name).await.filter(|webhook| !webhook["clientConfig"]["caBundle"].is_null())
        })
        .await;
    }
    cluster.create(Kind::VirtualService, virtual_service("right", json!({"uri": {"prefix": "/"}}))).await;
    for (name, policy) in [binding, open] {
        assert_eq!(webhook(name).await.unwrap()["failurePolicy"], policy, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_takes_nothing_that_the_webhook_refuses() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.namespace("istio-system").await;
    cluster.define(Kind::VirtualService, &["v1"]).await;
    // What proves the webhook has to pass the definition of its kind.
    cluster.define_whole(Kind::Gateway).await;
    let istiod = Istiod::start(&cluster, "istiod-0").await;
    let configurations = cluster.validating_webhooks();
    let name = "istio-validator-istio-system";
    let port = istiod.webhooks.port();
    let configuration = serde_json::from_value(validator(name, "Ignore", port)).unwrap();
    configurations.create(&PostParams::default(), &configuration).await.unwrap();

    // The root is written into the configuration. There is no Service yet by which the API server could ask.
    let webhook = || async { configurations.get(name).await.ok()?.data.pointer("/webhooks/0").cloned() };
    let rooted = until("the configuration has the root", || async {
        webhook().await.filter(|webhook| !webhook["clientConfig"]["caBundle"].is_null())
    })
    .await;
    assert_eq!(rooted["failurePolicy"], "Ignore", "nothing has proven that it answers");
    cluster.create(Kind::Service, istiod_here()).await;
    until("validation is binding", || async { webhook().await.filter(|webhook| webhook["failurePolicy"] == "Fail") })
        .await;

    let wrong = virtual_service("wrong", json!({"url": {"prefix": "/"}}));
    let wrong = serde_json::from_value(wrong).unwrap();
    let api = cluster.api(Kind::VirtualService);
    let dry = PostParams { dry_run: true, ..Default::default() };
    let refusal = until("the API server asks the webhook", || async {
        api.create(&dry, &wrong).await.err().map(|error| error.to_string())
    })
    .await;
    let expected = "spec.http[0].match[0].url: unknown field; did you mean `uri`?";
    assert!(refusal.contains(expected), "{refusal}");
    cluster.create(Kind::VirtualService, virtual_service("right", json!({"uri": {"prefix": "/"}}))).await;

    let root = root_in(&cluster, "default").await;
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "1", "operation": "CREATE",
        "object": {"apiVersion": "networking.stio.io/v1alpha3", "kind": "Gateway", "metadata": {"name": "a"}}}});
    let (code, answer) = istiod.post(&root, "/validate", review.to_string().as_bytes());
    assert_eq!(code, 200);
    assert!(
        answer.contains("\"allowed\":false") && answer.contains("did you mean `networking.istio.io/v1`?"),
        "{answer}"
    );
    assert_eq!(istiod.post(&root, "/validate", b"{").0, 400);
    assert_eq!(istiod.post(&root, "/inject", b"{}").0, 503, "there are no settings yet");
    assert_eq!(istiod.post(&root, "/validate", &vec![b' '; 9 * 1024 * 1024]).0, 413);

    // Settings come, and pods are injected.
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio-sidecar-injector", "namespace": "istio-system"},
                     "data": {"values": "{\"global\": {\"hub\": \"docker.io/weft\", \"tag\": \"0.1.0\"}}", "config": ""}});
    cluster.create(Kind::ConfigMap, map).await;
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "1", "namespace": "shop", "operation": "CREATE",
        "object": {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}}});
    let answer = until("pods are injected", || async {
        let (code, answer) = istiod.post(&root, "/inject", review.to_string().as_bytes());
        (code == 200).then_some(answer)
    })
    .await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["response"]["patchType"], "JSONPatch", "{answer}");
}

/// The object once its status is as wanted.
pub(crate) async fn status(cluster: &Cluster, name: &str, test: impl Fn(&Value) -> bool) -> Value {
    let api = cluster.api(Kind::VirtualService);
    until("the status is as wanted", || async {
        let object = serde_json::to_value(api.get(name).await.ok()?).ok()?;
        test(&object).then_some(object)
    })
    .await
}
