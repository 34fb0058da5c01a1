//! The status of the Ingresses that the mesh serves: where they are reached.

mod addresses;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use galley::api::{Ingress, LoadBalancerIngress};
use galley::{Key, Kind, Object, Objects, State, api_resource};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use mesh_runtime::Backoff;
use serde_json::{Value, json};
use tokio::sync::watch;

/// Under which the API server remembers whose a status is.
const MANAGER: &str = "istiod-ingress";
/// Waits after failures lie between these.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(30);

/// Keeps the status of all of them, for as long as `leads` says that this replica is the one to write.
pub(crate) async fn keep(client: Client, config: watch::Receiver<State>, mut leads: watch::Receiver<bool>) {
    while leads.wait_for(|leads| *leads).await.is_ok() {
        tokio::select! {
            () = write_while(&client, config.clone()) => return,
            _ = leads.wait_for(|leads| !leads) => {}
        }
    }
}

/// Ends when the control plane does.
async fn write_while(client: &Client, mut config: watch::Receiver<State>) {
    let mut backoff = Backoff::new(SOONEST, LATEST);
    let mut told = told_before(client, &mut backoff).await;
    loop {
        let objects = config.borrow_and_update().objects.clone();
        let seen = objects.discovered();
        if write_due(client, seen.as_ref().unwrap_or(&objects), &mut told).await {
            backoff.reset();
            if config.changed().await.is_err() {
                return;
            }
        } else {
            backoff.wait().await;
        }
    }
}

/// The Ingresses whose status is ours, whichever replica wrote it.
async fn told_before(client: &Client, backoff: &mut Backoff) -> BTreeSet<Key> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource());
    let all = loop {
        match api.list(&ListParams::default()).await {
            Ok(all) => break all,
            Err(error) => tracing::debug!("Ingresses are not listed yet: {error}"),
        }
        backoff.wait().await;
    };
    let is_ours =
        |ingress: &DynamicObject| ingress.managed_fields().iter().any(|one| one.manager.as_deref() == Some(MANAGER));
    all.iter().filter(|ingress| is_ours(ingress)).map(key).collect()
}

fn key(ingress: &DynamicObject) -> Key {
    Key { namespace: ingress.namespace().unwrap_or_default().into(), name: ingress.name_any().into() }
}

/// Writes what is not said yet, and takes back what is said of Ingresses that are not ours any more. True if all of it is
/// done.
async fn write_due(client: &Client, objects: &Objects, told: &mut BTreeSet<Key>) -> bool {
    let now = addresses::of_gateway(objects);
    let served: BTreeMap<Key, &Ingress> = objects.ingresses_served().into_iter().map(named).collect();
    let mut all = true;
    for (key, ingress) in &served {
        if addresses::sorted(ingress.status.load_balancer.ingress.clone()) != now {
            all &= write(client, key, told_of(&now)).await;
        }
        told.insert(key.clone());
    }
    let lost: Vec<Key> = told.iter().filter(|key| !served.contains_key(key)).cloned().collect();
    for key in lost {
        // What another controller wrote meanwhile stays: it is not ours any more.
        if write(client, &key, json!({})).await {
            told.remove(&key);
        } else {
            all = false;
        }
    }
    all
}

fn named(ingress: &Object<Ingress>) -> (Key, &Ingress) {
    (Key { namespace: ingress.meta.namespace.clone(), name: ingress.meta.name.clone() }, &ingress.spec)
}

/// Makes this all that we say in an Ingress's status. False if it is to be tried again.
async fn write(client: &Client, key: &Key, status: Value) -> bool {
    let resource = resource();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &key.namespace, &resource);
    let patch = Patch::Apply(json!({ "apiVersion": resource.api_version, "kind": resource.kind, "status": status }));
    match api.patch_status(&key.name, &PatchParams::apply(MANAGER).force(), &patch).await {
        Ok(_) => true,
        // It went meanwhile.
        Err(kube::Error::Api(status)) if status.code == 404 => true,
        Err(error) => {
            tracing::debug!("Ingress {}/{}: its status is not written yet: {error}", key.namespace, key.name);
            false
        }
    }
}

fn resource() -> ApiResource {
    api_resource(Kind::Ingress, Kind::Ingress.versions()[0])
}

fn told_of(addresses: &[LoadBalancerIngress]) -> Value {
    let addresses: Vec<Value> = addresses.iter().map(describe).collect();
    json!({ "loadBalancer": { "ingress": addresses } })
}

fn describe(address: &LoadBalancerIngress) -> Value {
    if address.ip.is_empty() { json!({ "hostname": address.hostname }) } else { json!({ "ip": address.ip }) }
}
