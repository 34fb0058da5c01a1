//! Where Ingresses are reached, as their status says.

use galley::Kind;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster_support::{Cluster, is_possible};
use crate::control_plane::{Istiod, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_follows_the_address_of_the_gateway() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.namespace("istio-system").await;
    let gateway = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "istio-ingressgateway", "namespace": "istio-system"},
                         "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    cluster.create(Kind::Service, gateway).await;
    cluster.create(Kind::Ingress, ingress("ours", "istio")).await;
    cluster.create(Kind::Ingress, ingress("theirs", "nginx")).await;
    let _istiod = Istiod::start(&cluster, "istiod-0").await;

    for address in [json!([{"ip": "192.0.2.7"}]), json!([{"hostname": "edge.example.com"}]), json!([])] {
        let balanced = json!({"status": {"loadBalancer": {"ingress": address}}});
        let services = cluster.api_in(Kind::Service, "istio-system");
        let patch = Patch::Merge(&balanced);
        services.patch_status("istio-ingressgateway", &PatchParams::default(), &patch).await.unwrap();
        until("the status is as wanted", || async {
            let told = addresses(&cluster, "ours").await;
            (told == *address.as_array().unwrap()).then_some(())
        })
        .await;
    }
    assert!(addresses(&cluster, "theirs").await.is_empty(), "it is somebody else's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingress_that_goes_to_another_class_is_told_no_more() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.namespace("istio-system").await;
    let gateway = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "istio-ingressgateway", "namespace": "istio-system"},
                         "spec": {"externalIPs": ["192.0.2.7"], "ports": [{"port": 80}]}});
    cluster.create(Kind::Service, gateway).await;
    for name in ["left", "taken", "left-meanwhile"] {
        cluster.create(Kind::Ingress, ingress(name, "istio")).await;
    }
    let ours = json!([{"ip": "192.0.2.7"}]);
    let theirs = json!([{"ip": "192.0.2.8"}]);
    let becomes = async |name: &str, wanted: &Value| {
        until("the status is as wanted", || async {
            let told = addresses(&cluster, name).await;
            (told == *wanted.as_array().unwrap()).then_some(())
        })
        .await;
    };
    let istiod = Istiod::start(&cluster, "istiod-0").await;
    for name in ["left", "taken", "left-meanwhile"] {
        becomes(name, &ours).await;
    }

    leave(&cluster, "left").await;
    becomes("left", &json!([])).await;
    drop(istiod);
    // Another replica knows whose status it is.
    leave(&cluster, "left-meanwhile").await;
    leave(&cluster, "taken").await;
    let taken = Patch::Merge(json!({"status": {"loadBalancer": {"ingress": theirs}}}));
    cluster.api(Kind::Ingress).patch_status("taken", &PatchParams::default(), &taken).await.unwrap();
    let _istiod = Istiod::start(&cluster, "istiod-1").await;
    becomes("left-meanwhile", &json!([])).await;
    assert_eq!(
        addresses(&cluster, "taken").await,
        *theirs.as_array().unwrap(),
        "what the other controller wrote stays"
    );
}

/// Gives an Ingress to another class.
async fn leave(cluster: &Cluster, name: &str) {
    let class = Patch::Merge(json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "nginx"}}}));
    cluster.api(Kind::Ingress).patch(name, &PatchParams::default(), &class).await.unwrap();
}

fn ingress(name: &str, class: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default", "annotations": {"kubernetes.io/ingress.class": class}},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
    })
}

async fn addresses(cluster: &Cluster, name: &str) -> Vec<Value> {
    let object = cluster.api(Kind::Ingress).get(name).await.unwrap();
    object.data.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).cloned().unwrap_or_default()
}
