//! What every namespace is told in a ConfigMap: the root, where proxies find it before they know anybody, and what the
//! authority has revoked.

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

const LABEL: (&str, &str) = ("istio.io/config", "true");
/// Namespaces of Kubernetes' own, where no workload of the mesh is.
const NOT_IN: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
/// What failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// A ConfigMap of every namespace, by Istio's names.
#[derive(Clone, Copy)]
pub enum Spread {
    /// `istio-ca-root-cert`.
    Root,
    /// `istio-ca-crl`: made if something is revoked, and emptied if nothing is any more.
    Revocations,
}

impl Spread {
    fn name(self) -> &'static str {
        match self {
            Self::Root => "istio-ca-root-cert",
            Self::Revocations => "istio-ca-crl",
        }
    }

    /// What it should say.
    fn data(self, authority: &Authority) -> BTreeMap<String, String> {
        let (entry, text) = match self {
            Self::Root => ("root-cert.pem", Some(authority.root_pem())),
            Self::Revocations => ("ca-crl.pem", authority.crl_pem()),
        };
        text.map(|text| (entry.to_owned(), text.to_owned())).into_iter().collect()
    }
}

/// Keeps a ConfigMap in every namespace, for as long as `leads` says that this replica is the one to write. What is there
/// is compared with what should be, whatever happened in between.
pub async fn spread(
    what: Spread,
    client: Client,
    mut namespaces: watch::Receiver<BTreeSet<Arc<str>>>,
    mut authority: watch::Receiver<Arc<Authority>>,
    mut leads: watch::Receiver<bool>,
) {
    while leads.wait_for(|leads| *leads).await.is_ok() {
        tokio::select! {
            () = keep(what, &client, &mut namespaces, &mut authority) => return,
            _ = leads.wait_for(|leads| !leads) => {}
        }
    }
}

/// Ends when the control plane does.
async fn keep(
    what: Spread,
    client: &Client,
    namespaces: &mut watch::Receiver<BTreeSet<Arc<str>>>,
    authority: &mut watch::Receiver<Arc<Authority>>,
) {
    let all: Api<ConfigMap> = Api::all(client.clone());
    let events = watcher(all, watcher::Config::default().fields(&format!("metadata.name={}", what.name())));
    pin_mut!(events);
    let mut held = Held::default();
    let mut failed = false;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => held.take(event),
                Some(Err(error)) => {
                    tracing::warn!("the ConfigMaps {} cannot be followed: {error}; trying again", what.name());
                    tokio::time::sleep(AGAIN).await;
                }
                None => return,
            },
            changed = namespaces.changed() => if changed.is_err() { return },
            changed = authority.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if failed => {}
        }
        let wanted = namespaces.borrow_and_update().clone();
        let data = what.data(&authority.borrow_and_update());
        failed = !held.reconcile(what, client, &wanted, &data).await;
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
    async fn reconcile(
        &mut self,
        what: Spread,
        client: &Client,
        namespaces: &BTreeSet<Arc<str>>,
        data: &BTreeMap<String, String>,
    ) -> bool {
        if !self.complete {
            return true;
        }
        let mut good = true;
        for namespace in namespaces.iter().filter(|namespace| !NOT_IN.contains(&&***namespace)) {
            let there = self.maps.get(&**namespace);
            if says(there, data) {
                continue;
            }
            match write(what, client, namespace, there, data).await {
                Ok(map) => drop(self.maps.insert(namespace.to_string(), map)),
                // It takes nothing new; its end is told soon.
                Err(error) if is_ending(&error) => {}
                Err(error) => {
                    tracing::info!("the ConfigMap {namespace}/{} is not written yet: {error}", what.name());
                    good = false;
                }
            }
        }
        good
    }
}

/// True if a ConfigMap, or that there is none, says what it should. An empty entry is none: Istio's istiod, beside which this one may stand, writes
/// one where nothing is revoked, and would write it again for ever.
fn says(map: Option<&ConfigMap>, data: &BTreeMap<String, String>) -> bool {
    let said = map.and_then(|map| map.data.as_ref()).into_iter().flatten();
    said.filter(|(_, text)| !text.is_empty()).eq(data)
}

/// True if the namespace is being deleted.
fn is_ending(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403 && status.message.contains("being terminated"))
}

async fn write(
    what: Spread,
    client: &Client,
    namespace: &str,
    there: Option<&ConfigMap>,
    data: &BTreeMap<String, String>,
) -> Result<ConfigMap, kube::Error> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let data = Some(data.clone());
    let labels = Some(BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())]));
    match there {
        Some(map) => maps.replace(what.name(), &PostParams::default(), &ConfigMap { data, ..map.clone() }).await,
        None => {
            let metadata = ObjectMeta { name: Some(what.name().to_owned()), labels, ..Default::default() };
            maps.create(&PostParams::default(), &ConfigMap { metadata, data, ..Default::default() }).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_entry_is_none() {
        let entries = |text: &str| BTreeMap::from([("ca-crl.pem".to_owned(), text.to_owned())]);
        let (nothing, list) = (BTreeMap::new(), entries("a list"));
        let map_says = |said, wanted| says(Some(&ConfigMap { data: said, ..ConfigMap::default() }), wanted);
        assert!(says(None, &nothing) && !says(None, &list));
        assert!(map_says(None, &nothing));
        assert!(map_says(Some(entries("")), &nothing));
        assert!(map_says(Some(list.clone()), &list));
        assert!(!map_says(Some(entries("")), &list));
        assert!(!map_says(Some(list.clone()), &nothing), "it is emptied");
    }
}
