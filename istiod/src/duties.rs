//! What one replica does for all: it writes to the cluster, under a lease for each kind of writing.

use std::collections::BTreeSet;
use std::sync::Arc;

use citadel::Authority;
use galley::State;
use tokio::sync::watch;

use crate::foundation::Cluster;
use crate::leader::{Leadership, Terms};

/// Istio's name of the lease for what is written into namespaces.
const NAMESPACES: &str = "istio-namespace-controller-election";

/// The duties of a replica, done while it leads.
pub(crate) struct Duties {
    leaderships: Vec<Leadership>,
}

impl Duties {
    /// Stands for all of them.
    pub(crate) fn begin(
        cluster: &Cluster,
        config: &watch::Receiver<State>,
        authority: &watch::Receiver<Arc<Authority>>,
    ) -> Self {
        // A restarted container must not take its predecessor's lease for its own.
        let identity = format!("{}_{:08x}", cluster.place.pod, fastrand::u32(..));
        let stand = |lease: &str| {
            let client = cluster.client.clone();
            Leadership::stand(client, &cluster.place.namespace, lease, &identity, Terms::default())
        };
        let namespaces = stand(NAMESPACES);
        tokio::spawn(citadel::spread_root(
            cluster.client.clone(),
            namespaces_of(config.clone()),
            authority.clone(),
            namespaces.leads(),
        ));
        Self { leaderships: vec![namespaces] }
    }

    /// Leaves them to the other replicas.
    pub(crate) async fn end(self) {
        let all = self.leaderships.into_iter().map(Leadership::resign);
        futures::future::join_all(all).await;
    }
}

/// The names of all namespaces.
fn namespaces_of(mut config: watch::Receiver<State>) -> watch::Receiver<BTreeSet<Arc<str>>> {
    let names =
        |state: &State| -> BTreeSet<Arc<str>> { state.objects.namespaces.keys().map(|key| key.name.clone()).collect() };
    let (sender, receiver) = watch::channel(names(&config.borrow_and_update()));
    tokio::spawn(async move {
        while config.changed().await.is_ok() {
            let now = names(&config.borrow_and_update());
            sender.send_if_modified(|before| std::mem::replace(before, now.clone()) != now);
        }
    });
    receiver
}
