//! The root in the ConfigMap `istio-ca-root-cert` of every namespace, where proxies find it before they know anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::watch;

use crate::authority::Authority;

/// Istio's names.
const NAME: &str = "istio-ca-root-cert";
const ENTRY: &str = "root-cert.pem";
const LABEL: (&str, &str) = ("istio.io/config", "true");
/// Namespaces of Kubernetes' own, where no workload of the mesh is.
const NOT_IN: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
/// What failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps the root in every namespace, for as long as `leads` says that this replica is the one to write. What is there
/// is compared with what should be, whatever happened in between.
pub async fn spread_root(
    client: Client,
    mut namespaces: watch::Receiver<BTreeSet<Arc<str>>>,
    mut authority: watch::Receiver<Arc<Authority>>,
    mut leads: watch::Receiver<bool>,
) {
    while leads.wait_for(|leads| *leads).await.is_ok() {
        tokio::select! {
            () = keep(&client, &mut namespaces, &mut authority) => return,
            _ = leads.wait_for(|leads| !leads) => {}
        }
    }
}

/// Ends when the control plane does.
async fn keep(
    client: &Client,
    namespaces: &mut watch::Receiver<BTreeSet<Arc<str>>>,
    authority: &mut watch::Receiver<Arc<Authority>>,
) {
    let all: Api<ConfigMap> = Api::all(client.clone());
    let events = watcher(all, watcher::Config::default().fields(&format!("metadata.name={NAME}")));
    pin_mut!(events);
    let mut held = Held::default();
    let mut failed = false;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => held.take(event),
                Some(Err(error)) => {
                    tracing::warn!("the ConfigMaps {NAME} cannot be followed: {error}; trying again");
                    tokio::time::sleep(AGAIN).await;
                }
                None => return,
            },
            changed = namespaces.changed() => if changed.is_err() { return },
            changed = authority.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if failed => {}
        }
        let (wanted, root) = (namespaces.borrow_and_update().clone(), authority.borrow_and_update().clone());
        failed = !held.reconcile(client, &wanted, root.root_pem()).await;
    }
}

/// The ConfigMaps that are there, by namespace.
#[derive(Default)]
struct Held {
    maps: BTreeMap<String, ConfigMap>,
    again: BTreeMap<String, ConfigMap>,
    complete: bool,
}

impl Held {
    fn take(&mut self, event: Event<ConfigMap>) {
        let place = |map: &ConfigMap| map.namespace().unwrap_or_default();
        match event {
            Event::Init => self.again.clear(),
            Event::InitApply(map) => drop(self.again.insert(place(&map), map)),
            Event::InitDone => {
                self.maps = std::mem::take(&mut self.again);
                self.complete = true;
            }
            Event::Apply(map) => drop(self.maps.insert(place(&map), map)),
            Event::Delete(map) => drop(self.maps.remove(&place(&map))),
        }
    }

    /// Writes what is missing or different. False if anything could not be written.
    async fn reconcile(&mut self, client: &Client, namespaces: &BTreeSet<Arc<str>>, root: &str) -> bool {
        if !self.complete {
            return true;
        }
        let mut good = true;
        for namespace in namespaces.iter().filter(|namespace| !NOT_IN.contains(&&***namespace)) {
            let there = self.maps.get(&**namespace);
            if there.is_some_and(|map| says(map, root)) {
                continue;
            }
            match write(client, namespace, there, root).await {
                Ok(map) => drop(self.maps.insert(namespace.to_string(), map)),
                // It takes nothing new; its end is told soon.
                Err(error) if is_ending(&error) => {}
                Err(error) => {
                    tracing::info!("the ConfigMap {namespace}/{NAME} is not written yet: {error}");
                    good = false;
                }
            }
        }
        good
    }
}

/// True if the namespace is being deleted.
fn is_ending(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403 && status.message.contains("being terminated"))
}

fn says(map: &ConfigMap, root: &str) -> bool {
    map.data.as_ref().and_then(|data| data.get(ENTRY)).is_some_and(|text| text == root)
}

async fn write(
    client: &Client,
    namespace: &str,
    there: Option<&ConfigMap>,
    root: &str,
) -> Result<ConfigMap, kube::Error> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let data = Some(BTreeMap::from([(ENTRY.to_owned(), root.to_owned())]));
    let labels = Some(BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())]));
    match there {
        Some(map) => maps.replace(NAME, &PostParams::default(), &ConfigMap { data, ..map.clone() }).await,
        None => {
            let metadata = ObjectMeta { name: Some(NAME.to_owned()), labels, ..Default::default() };
            maps.create(&PostParams::default(), &ConfigMap { metadata, data, ..Default::default() }).await
        }
    }
}
