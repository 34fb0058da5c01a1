//! What replicas know of each other's proxies.

use std::net::SocketAddr;
use std::path::Path;

use galley::Kind;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::cluster_support::{Cluster, is_possible, virtual_service};
use crate::control_plane::{Istiod, condition, free_ports};
use crate::identity::{account, token as token_of};
use crate::objects::status;
use crate::proxy::connect;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_counts_the_proxies_of_all_replicas_of_all_revisions() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.namespace("istio-system").await;
    cluster.define(Kind::VirtualService, &["v1"]).await;
    cluster.create(Kind::VirtualService, virtual_service("everybodys", json!({"uri": {"prefix": "/"}}))).await;
    let mut one = virtual_service("canarys", json!({"uri": {"prefix": "/"}}));
    one["metadata"]["labels"] = json!({"istio.io/rev": "canary"});
    cluster.create(Kind::VirtualService, one).await;

    let directory = tempfile::tempdir().unwrap();
    let [token, canary_token] = ["istiod", "istiod-canary"].map(|name| directory.path().join(name));
    for (name, file) in [("istiod", &token), ("istiod-canary", &canary_token)] {
        account(&cluster, "istio-system", name).await;
        std::fs::write(file, token_of(&cluster, "istio-system", name, "istio-ca", None).await).unwrap();
    }
    // All replicas have the same port, at addresses of their own.
    let port = free_ports::<1>()[0].port();
    let first = replica(&cluster, "istiod-0", "default", ([127, 0, 0, 2], port).into(), &token).await;
    let second = replica(&cluster, "istiod-1", "default", ([127, 0, 0, 3], port).into(), &token).await;
    let canary = replica(&cluster, "istiod-canary-0", "canary", ([127, 0, 0, 4], port).into(), &canary_token).await;
    pod(&cluster, "istiod-lost", "default", ([127, 0, 0, 5], port).into()).await;
    let _first = connect(&first, "a", true).await;
    let wavers = connect(&second, "b", false).await;
    let _canary = connect(&canary, "c", true).await;

    let counts = json!({"current": 2, "total": 3});
    let pending = status(&cluster, "everybodys", |object| object["status"]["proxies"] == counts).await;
    assert_eq!(condition(&pending, "Reconciled").unwrap()["status"], "False");

    // The one that did not take it moves to another replica, and takes it there.
    drop(wavers);
    let _moved = connect(&first, "b", true).await;
    let counts = json!({"current": 3, "total": 3});
    let silent = status(&cluster, "everybodys", |object| object["status"]["proxies"] == counts).await;
    let reconciled = condition(&silent, "Reconciled").unwrap();
    assert_eq!(reconciled["status"], "False", "of the proxies of the lost replica nothing is known: {reconciled}");

    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "istio-system");
    pods.delete("istiod-lost", &DeleteParams::default().grace_period(0)).await.unwrap();
    for (name, proxies) in [("everybodys", 3), ("canarys", 1)] {
        let object = status(&cluster, name, |object| {
            condition(object, "Reconciled").is_some_and(|condition| condition["status"] == "True")
        })
        .await;
        assert_eq!(object["status"]["proxies"], json!({"current": proxies, "total": proxies}));
    }
}

/// Starts a replica, and tells the cluster of its pod.
async fn replica(cluster: &Cluster, name: &str, revision: &str, secure: SocketAddr, token: &Path) -> Istiod {
    let arguments = [format!("--revision={revision}"), format!("--token={}", token.display())];
    let istiod = Istiod::start_at(cluster, name, secure, &arguments).await;
    pod(cluster, name, revision, secure).await;
    istiod
}

/// A ready pod of istiod. There is no kubelet that would say so.
async fn pod(cluster: &Cluster, name: &str, revision: &str, address: SocketAddr) {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "istio-system");
    let pod = json!({"metadata": {"name": name, "labels": {"app": "istiod", "istio.io/rev": revision}},
                     "spec": {"containers": [{"name": "discovery", "image": "none"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let ip = address.ip().to_string();
    let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                                   "conditions": [{"type": "Ready", "status": "True"}]}});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
}
