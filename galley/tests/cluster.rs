//! The cluster as a source, on a real API server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, too, fail by panicking")]

mod cluster_support;

use std::time::Duration;

use cluster_support::{Cluster, is_possible, virtual_service};
use galley::{Kind, ObjectRef, State};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(60);

async fn wait(state: &mut watch::Receiver<State>, what: &str, test: impl FnMut(&State) -> bool) -> State {
    let waited = tokio::time::timeout(PATIENCE, state.wait_for(test)).await;
    waited.unwrap_or_else(|_| panic!("never: {what}")).unwrap().clone()
}

fn reference(name: &str) -> ObjectRef {
    ObjectRef { kind: Kind::VirtualService, namespace: "default".into(), name: name.into() }
}

fn hosts(state: &State, name: &str) -> Vec<String> {
    let objects = state.objects.virtual_services.values();
    objects.filter(|one| &*one.meta.name == name).flat_map(|one| one.spec.hosts.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_appear_change_and_vanish_whatever_happens() {
    if !is_possible() {
        return;
    }
    let mut cluster = Cluster::start().await;
    cluster.create(Kind::Service, service("early")).await;

    // A kind that nobody defined yet is no reason to wait.
    let mut state = cluster.watch("").await;
    assert!(
        state.borrow().objects.services.keys().any(|key| &*key.name == "early"),
        "all is read before the first state"
    );
    assert!(state.borrow().objects.services.keys().any(|key| &*key.name == "kubernetes"));

    cluster.define(Kind::VirtualService, &["v1", "v1beta1", "v1alpha3"]).await;
    cluster.create(Kind::VirtualService, virtual_service("shop", json!({"uri": {"prefix": "/"}}))).await;
    wait(&mut state, "the kind is there", |state| hosts(state, "shop") == ["shop"]).await;

    // A bad version is refused with its generation, and the good one stays; others flow.
    let bad = json!({"spec": {"hosts": ["bad"], "http": [{"match": [{"url": {"prefix": "/"}}], "directResponse": {"status": 200}}]}});
    let api = cluster.api(Kind::VirtualService);
    api.patch("shop", &PatchParams::default(), &Patch::Merge(&bad)).await.unwrap();
    cluster.create(Kind::VirtualService, virtual_service("other", json!({"uri": {"prefix": "/"}}))).await;
    let seen = wait(&mut state, "one is refused, one is taken", |state| {
        state.refused.get(&reference("shop")) == Some(&2) && hosts(state, "other") == ["other"]
    })
    .await;
    assert_eq!(hosts(&seen, "shop"), ["shop"]);
    let said: Vec<String> = seen.diagnostics.iter().map(ToString::to_string).collect();
    let expected = "error: VirtualService default/shop: spec.http[0].match[0].url: unknown field; did you mean `uri`?";
    assert_eq!(said, [expected]);

    // The API server dies. What was read stays; what is written once it is back is heard of.
    cluster.server.kill();
    assert_eq!(hosts(&state.borrow(), "other"), ["other"]);
    cluster.server.resume().unwrap();
    cluster.until_it_answers().await;
    let good = json!({"spec": {"hosts": ["mended"], "http": [{"match": null, "directResponse": {"status": 200}}]}});
    api.patch("shop", &PatchParams::default(), &Patch::Merge(&good)).await.unwrap();
    let seen = wait(&mut state, "it is mended", |state| hosts(state, "shop") == ["mended"]).await;
    assert!(seen.refused.is_empty() && seen.diagnostics.is_empty(), "{:?}", seen.diagnostics);

    api.delete("other", &DeleteParams::default()).await.unwrap();
    wait(&mut state, "it vanished", |state| hosts(state, "other").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_settings_and_older_versions_are_heeded() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    // A cluster whose definitions are older than ours serves no v1.
    cluster.define(Kind::VirtualService, &["v1alpha3"]).await;
    cluster.namespace("istio-system").await;
    let mut state = cluster.watch("canary").await;

    let labelled = |name: &str, revision: &str| {
        let mut object = virtual_service(name, json!({"uri": {"prefix": "/"}}));
        object["apiVersion"] = json!("networking.istio.io/v1alpha3");
        object["metadata"]["labels"] = json!({"istio.io/rev": revision});
        object
    };
    cluster.create(Kind::VirtualService, labelled("theirs", "stable")).await;
    cluster.create(Kind::VirtualService, labelled("ours", "canary")).await;
    let seen = wait(&mut state, "our own revision's object", |state| hosts(state, "ours") == ["ours"]).await;
    assert!(hosts(&seen, "theirs").is_empty());

    let settings = |text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio-canary", "namespace": "istio-system"}, "data": {"mesh": text}});
    cluster.create(Kind::ConfigMap, settings("trustDomain: corp")).await;
    wait(&mut state, "settings", |state| state.objects.mesh().trust_domain == "corp").await;
    let maps = cluster.api_in(Kind::ConfigMap, "istio-system");
    maps.patch("istio-canary", &PatchParams::default(), &Patch::Merge(&settings("trustDomain: ["))).await.unwrap();
    let seen = wait(&mut state, "the complaint", |state| !state.diagnostics.is_empty()).await;
    assert_eq!(seen.objects.mesh().trust_domain, "corp", "the last good settings stay");
    maps.delete("istio-canary", &DeleteParams::default()).await.unwrap();
    wait(&mut state, "defaults", |state| state.objects.mesh().trust_domain.is_empty() && state.refused.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_read_only_where_a_gateway_uses_them() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.define(Kind::Gateway, &["v1"]).await;
    cluster.namespace("istio-ingress").await;
    let secret = |namespace: &str, name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": {"tls.key": "a2V5"}});
    for (namespace, name) in [("istio-ingress", "shop-tls"), ("istio-ingress", "other"), ("default", "shop-tls")] {
        cluster.create(Kind::Secret, secret(namespace, name)).await;
    }
    let mut state = cluster.watch("").await;
    assert!(state.borrow().objects.secrets.is_empty());
    let gateway = json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"istio": "ingress"}, "servers": [{"hosts": ["*"], "port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "tls": {"mode": "SIMPLE", "credentialName": "shop-tls"}}]}});
    cluster.create(Kind::Gateway, gateway).await;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gateway-0", "namespace": "istio-ingress", "labels": {"istio": "ingress"}},
        "spec": {"containers": [{"name": "istio-proxy", "image": "none"}]}});
    cluster.create(Kind::Pod, pod).await;
    let names = |state: &State| -> Vec<(String, String)> {
        state.objects.secrets.keys().map(|key| (key.namespace.to_string(), key.name.to_string())).collect()
    };
    let one = [("istio-ingress".to_owned(), "shop-tls".to_owned())];
    wait(&mut state, "the gateway's secret", |state| names(state) == one).await;
    cluster.api(Kind::Gateway).delete("web", &DeleteParams::default()).await.unwrap();
    wait(&mut state, "nobody needs it", |state| state.objects.secrets.is_empty()).await;
}

fn service(name: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": {"ports": [{"port": 80, "name": "http"}]}})
}
