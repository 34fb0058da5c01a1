//! The root in our webhooks' configurations, by which the API server knows us. Validation becomes binding once it is
//! proven that the API server asks for it: from then on it takes nothing that was not looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use citadel::Authority;
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use mesh_runtime::Backoff;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::proof::Proof;
use crate::foundation::Cluster;

/// What failed is tried again after a time between these.
const SOONEST: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_secs(5);
/// Istio's last step: the API server takes nothing that the webhook was not asked about.
const BINDING: &str = "Fail";

/// Keeps both kinds of configuration right, unless the settings leave all of them to somebody else. Validation is made
/// binding if the settings leave that to us; the root is kept right in any case, since what is binding already would take
/// nothing any more without it.
pub(crate) async fn keep(cluster: Cluster, authority: watch::Receiver<Arc<Authority>>, leads: watch::Receiver<bool>) {
    let injection = cluster.place.injection_webhook.is_some();
    let validation = cluster.place.validation_webhook.is_some();
    if !injection && !validation {
        return;
    }
    let keeper = |resource: ApiResource, proof: Option<Proof>| Keeper {
        api: Api::all_with(cluster.client.clone(), &resource),
        service: (cluster.place.service(), cluster.place.namespace.clone()),
        proof,
        waits: BTreeMap::new(),
        held: BTreeMap::new(),
    };
    let injection = injection.then(|| {
        keeper(ApiResource::erase::<MutatingWebhookConfiguration>(&()), None).run(authority.clone(), leads.clone())
    });
    let proof = validation.then(|| Proof::new(&cluster));
    let validation = keeper(ApiResource::erase::<ValidatingWebhookConfiguration>(&()), proof).run(authority, leads);
    futures::future::join_all(injection.into_iter().chain([validation]).map(Box::pin)).await;
}

/// Keeps configurations of one kind.
struct Keeper {
    api: Api<DynamicObject>,
    /// Name and namespace of the Service that answers for us.
    service: (String, String),
    /// By which a webhook becomes binding; absent where that is not ours to say.
    proof: Option<Proof>,
    /// Why a webhook is not binding yet, as it was said last.
    waits: BTreeMap<String, String>,
    held: BTreeMap<String, Value>,
}

impl Keeper {
    async fn run(mut self, mut authority: watch::Receiver<Arc<Authority>>, mut leads: watch::Receiver<bool>) {
        while leads.wait_for(|leads| *leads).await.is_ok() {
            tokio::select! {
                () = self.keep(&mut authority) => return,
                _ = leads.wait_for(|leads| !leads) => {}
            }
        }
    }

    async fn keep(&mut self, authority: &mut watch::Receiver<Arc<Authority>>) {
        let events = watcher(self.api.clone(), watcher::Config::default());
        pin_mut!(events);
        let mut backoff = Backoff::new(SOONEST, LATEST);
        let mut again = None;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event),
                    Some(Err(error)) => {
                        tracing::warn!("webhook configurations cannot be followed: {error}; trying again");
                        tokio::time::sleep(LATEST).await;
                    }
                    None => return,
                },
                // An authority that has no more news keeps its root.
                Ok(()) = authority.changed() => {}
                () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
            }
            let bundle = STANDARD.encode(authority.borrow_and_update().root_pem());
            if self.reconcile(&bundle).await {
                backoff.reset();
                again = None;
            } else {
                again = Some(backoff.next_delay());
            }
        }
    }

    fn take(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                let webhooks = object.data.get("webhooks").cloned().unwrap_or_default();
                self.held.insert(object.name_any(), webhooks);
            }
            Event::Delete(object) => drop(self.held.remove(&object.name_any())),
            Event::Init => self.held.clear(),
            Event::InitDone => {}
        }
    }

    /// False if anything is to be tried again. What is written comes back as an event, after which the next is looked at.
    async fn reconcile(&mut self, bundle: &str) -> bool {
        let mut good = true;
        let held = std::mem::take(&mut self.held);
        for (configuration, webhooks) in &held {
            let ours = || ours(webhooks, &self.service);
            let wrong = ours().filter(|one| text(one, "/clientConfig/caBundle") != bundle);
            let roots: Vec<Value> =
                wrong.map(|one| json!({ "name": one["name"], "clientConfig": { "caBundle": bundle } })).collect();
            if !roots.is_empty() {
                good &= self.write(configuration, roots, "the webhook's root is right").await;
                continue;
            }
            let open = ours().filter(|one| text(one, "/failurePolicy") != BINDING).map(|one| text(one, "/name"));
            for name in open.map(str::to_owned).collect::<Vec<_>>() {
                good &= self.bind(configuration, &name).await;
            }
        }
        self.held = held;
        good
    }

    /// Makes a webhook binding, once it is proven. False if it is not yet.
    async fn bind(&mut self, configuration: &str, webhook: &str) -> bool {
        let Some(proof) = &self.proof else { return true };
        match proof.of(webhook).await {
            Ok(()) => {
                let binding = json!({ "name": webhook, "failurePolicy": BINDING });
                self.write(configuration, vec![binding], "validation answers, and is binding from now on").await
            }
            Err(why) => {
                let before = self.waits.insert(format!("{configuration} {webhook}"), why.clone());
                if before.as_ref() != Some(&why) {
                    tracing::info!(
                        "{configuration}: {webhook} becomes binding once the API server refuses an invalid Gateway by \
                         it, for which it is asked by dry runs; not yet: {why}"
                    );
                }
                false
            }
        }
    }

    /// Writes what is right of some webhooks; `done` is what to say then. False if that failed.
    async fn write(&self, configuration: &str, right: Vec<Value>, done: &str) -> bool {
        let patch = Patch::Strategic(json!({ "webhooks": right }));
        match self.api.patch(configuration, &PatchParams::default(), &patch).await {
            Ok(_) => {
                tracing::info!("{configuration}: {done}");
                true
            }
            Err(error) => {
                tracing::warn!("{configuration}: cannot be written: {error}; trying again");
                false
            }
        }
    }
}

/// Those of the webhooks that call a Service of ours, by its name and namespace.
fn ours<'a>(webhooks: &'a Value, service: &'a (String, String)) -> impl Iterator<Item = &'a Value> {
    webhooks.as_array().into_iter().flatten().filter(|webhook| {
        text(webhook, "/clientConfig/service/name") == service.0
            && text(webhook, "/clientConfig/service/namespace") == service.1
    })
}

fn text<'a>(webhook: &'a Value, pointer: &str) -> &'a str {
    webhook.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_calls_our_own_service_is_ours() {
        let webhook = |name: &str, client: Value| json!({ "name": name, "clientConfig": client });
        let service = |name: &str, namespace: &str| json!({ "service": { "name": name, "namespace": namespace } });
        let webhooks = json!([
            webhook("a", service("istiod", "istio-system")),
            webhook("b", service("istiod", "other")),
            webhook("c", service("other", "istio-system")),
            webhook("d", json!({ "url": "https://istiod.istio-system.svc" })),
        ]);
        let names = |name: &str| {
            let service = (name.to_owned(), "istio-system".to_owned());
            ours(&webhooks, &service).map(|one| text(one, "/name").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("istiod"), ["a"]);
        assert!(names("istiod-canary").is_empty());
    }
}
