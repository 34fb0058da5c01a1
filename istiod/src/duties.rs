//! What one replica does for all: it writes to the cluster, under a lease for each kind of writing.

use std::collections::BTreeSet;
use std::sync::Arc;

use citadel::{Authority, Spread};
use galley::State;
use tokio::sync::watch;

use crate::foundation::Cluster;
use crate::leader::{Leadership, Terms};
use crate::status::{Sources, Trust};
use crate::{ingress, status, webhook};

/// Istio's name of the lease for what is written into namespaces.
const NAMESPACES: &str = "istio-namespace-controller-election";
/// Istio's name of the lease for the status of Ingresses.
const INGRESSES: &str = "istio-leader";
/// Istio's name of the lease for the status of objects; all revisions share it, since they share the objects.
const STATUS: &str = "istio-status-leader";
/// The lease for webhooks' configurations; each revision has its own.
const WEBHOOKS: &str = "istio-webhook-leader";

/// The duties of a replica, done while it leads.
pub(crate) struct Duties {
    leaderships: Vec<Leadership>,
}

impl Duties {
    /// Stands for all of them.
    pub(crate) fn begin(
        cluster: &Cluster,
        authority: &watch::Receiver<Arc<Authority>>,
        sources: Sources,
        trust: Trust,
    ) -> Self {
        // A restarted container must not take its predecessor's lease for its own.
        let identity = format!("{}_{:08x}", cluster.place.pod, fastrand::u32(..));
        let stand = |lease: &str| {
            let client = cluster.client.clone();
            Leadership::stand(client, &cluster.place.namespace, lease, &identity, Terms::default())
        };
        let [namespaces, ingresses, status] = [NAMESPACES, INGRESSES, STATUS].map(stand);
        let webhooks = stand(&format!("{WEBHOOKS}-{}", cluster.place.service()));
        for what in [Spread::Root, Spread::Revocations] {
            tokio::spawn(citadel::spread(
                what,
                cluster.client.clone(),
                namespaces_of(sources.config.clone()),
                authority.clone(),
                namespaces.leads(),
            ));
        }
        tokio::spawn(ingress::keep(cluster.client.clone(), sources.config.clone(), ingresses.leads()));
        tokio::spawn(status::keep(cluster.clone(), sources, trust, status.leads()));
        tokio::spawn(webhook::keep(cluster.clone(), authority.clone(), webhooks.leads()));
        Self { leaderships: vec![namespaces, ingresses, status, webhooks] }
    }

    /// Leaves them to the other replicas.
    pub(crate) async fn end(self) {
        let all = self.leaderships.into_iter().map(Leadership::resign);
        futures::future::join_all(all).await;
    }
}

/// The namespaces that the mesh is about.
fn namespaces_of(mut config: watch::Receiver<State>) -> watch::Receiver<BTreeSet<Arc<str>>> {
    let names = |state: &State| state.objects.discovered_namespaces();
    let (sender, receiver) = watch::channel(names(&config.borrow_and_update()));
    tokio::spawn(async move {
        while config.changed().await.is_ok() {
            let now = names(&config.borrow_and_update());
            sender.send_if_modified(|before| std::mem::replace(before, now.clone()) != now);
        }
    });
    receiver
}
