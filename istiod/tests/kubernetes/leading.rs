//! Which of two replicas writes.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;

use crate::cluster_support::{Cluster, is_possible};
use crate::control_plane::{Istiod, root_in, shared_root, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_leads_and_the_other_takes_over() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.namespace("istio-system").await;
    // Both at once: one of them makes the root, and both have it.
    let (first, second) = tokio::join!(Istiod::start(&cluster, "first"), Istiod::start(&cluster, "second"));
    let leader = holder(&cluster, |_| true).await;
    let root = root_in(&cluster, "default").await;
    assert_eq!(root, shared_root(&cluster).await);

    let survivor = if leader.starts_with("first") {
        first.kill();
        second
    } else {
        second.kill();
        first
    };
    let next = holder(&cluster, |holder| holder != leader).await;
    assert_ne!(next, leader);
    cluster.namespace("later").await;
    assert_eq!(root_in(&cluster, "later").await, root, "the other writes now");
    drop(survivor);
}

/// Who holds the lease for what is written into namespaces.
async fn holder(cluster: &Cluster, test: impl Fn(&str) -> bool) -> String {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), "istio-system");
    until("somebody leads", || async {
        let lease = leases.get_opt("istio-namespace-controller-election").await.ok()??;
        lease.spec?.holder_identity.filter(|holder| !holder.is_empty() && test(holder))
    })
    .await
}
