//! The status of the Ingresses that the mesh serves: where they are reached.

mod addresses;

use std::time::Duration;

use galley::api::{Ingress, LoadBalancerIngress};
use galley::{Kind, Object, Objects, State, api_resource};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use mesh_runtime::Backoff;
use serde_json::{Value, json};
use tokio::sync::watch;

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
    loop {
        let objects = config.borrow_and_update().objects.clone();
        let seen = objects.discovered();
        if write_due(client, seen.as_ref().unwrap_or(&objects)).await {
            backoff.reset();
            if config.changed().await.is_err() {
                return;
            }
        } else {
            backoff.wait().await;
        }
    }
}

/// Writes what is not said yet. True if all of it is.
async fn write_due(client: &Client, objects: &Objects) -> bool {
    let now = addresses::of_gateway(objects);
    let mut all = true;
    for ingress in objects.ingresses_served() {
        if addresses::sorted(ingress.spec.status.load_balancer.ingress.clone()) == now {
            continue;
        }
        if let Err(error) = write(client, ingress, &now).await {
            let meta = &ingress.meta;
            tracing::debug!("Ingress {}/{}: its status is not written yet: {error}", meta.namespace, meta.name);
            all = false;
        }
    }
    all
}

async fn write(client: &Client, ingress: &Object<Ingress>, now: &[LoadBalancerIngress]) -> Result<(), kube::Error> {
    let resource = api_resource(Kind::Ingress, Kind::Ingress.versions()[0]);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &ingress.meta.namespace, &resource);
    let addresses: Vec<Value> = now.iter().map(describe).collect();
    let patch = Patch::Merge(json!({ "status": { "loadBalancer": { "ingress": addresses } } }));
    match api.patch_status(&ingress.meta.name, &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        // It went meanwhile.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

fn describe(address: &LoadBalancerIngress) -> Value {
    if address.ip.is_empty() { json!({ "hostname": address.hostname }) } else { json!({ "ip": address.ip }) }
}
