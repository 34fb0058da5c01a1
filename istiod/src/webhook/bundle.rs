//! The root in our webhooks' configurations, by which the API server knows us. Validation that is served becomes
//! binding: from then on the API server takes nothing that was not looked at.

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
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::foundation::Cluster;

/// What failed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps both kinds of configuration right, those that the settings leave to us.
pub(crate) async fn keep(cluster: Cluster, authority: watch::Receiver<Arc<Authority>>, leads: watch::Receiver<bool>) {
    let injection = cluster.place.injection_webhook.is_some();
    let validation = cluster.place.validation_webhook.is_some();
    let keeper = |resource: ApiResource, policy: Option<&'static str>| Keeper {
        api: Api::all_with(cluster.client.clone(), &resource),
        service: (cluster.place.service(), cluster.place.namespace.clone()),
        policy,
        held: BTreeMap::new(),
    };
    let injection = injection.then(|| {
        keeper(ApiResource::erase::<MutatingWebhookConfiguration>(&()), None).run(authority.clone(), leads.clone())
    });
    let validation = validation
        .then(|| keeper(ApiResource::erase::<ValidatingWebhookConfiguration>(&()), Some("Fail")).run(authority, leads));
    futures::future::join_all(injection.into_iter().map(Box::pin).chain(validation.into_iter().map(Box::pin))).await;
}

/// Keeps configurations of one kind.
struct Keeper {
    api: Api<DynamicObject>,
    /// Name and namespace of the Service that answers for us.
    service: (String, String),
    /// The failure policy that is to be.
    policy: Option<&'static str>,
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
        let mut failed = false;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event),
                    Some(Err(error)) => {
                        tracing::warn!("webhook configurations cannot be followed: {error}; trying again");
                        tokio::time::sleep(AGAIN).await;
                    }
                    None => return,
                },
                // An authority that has no more news keeps its root.
                Ok(()) = authority.changed() => {}
                () = tokio::time::sleep(AGAIN), if failed => {}
            }
            let bundle = STANDARD.encode(authority.borrow_and_update().root_pem());
            failed = !self.reconcile(&bundle).await;
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

    /// False if anything could not be written.
    async fn reconcile(&mut self, bundle: &str) -> bool {
        let (name, namespace) = &self.service;
        let mut good = true;
        for (configuration, webhooks) in &mut self.held {
            let Some(patch) = correction(webhooks, (name, namespace), bundle, self.policy) else { continue };
            match self.api.patch(configuration, &PatchParams::default(), &Patch::Strategic(patch)).await {
                Ok(object) => {
                    *webhooks = object.data.get("webhooks").cloned().unwrap_or_default();
                    tracing::info!("{configuration}: the webhook's root is right");
                }
                Err(error) => {
                    tracing::warn!("{configuration}: the webhook's root cannot be written: {error}; trying again");
                    good = false;
                }
            }
        }
        good
    }
}

/// What has to be written for those of the webhooks that call our Service; `None` if all is right.
fn correction(webhooks: &Value, service: (&str, &str), bundle: &str, policy: Option<&str>) -> Option<Value> {
    let text = |webhook: &'_ Value, pointer: &str| {
        webhook.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let is_ours = |webhook: &&Value| {
        text(webhook, "/clientConfig/service/name") == service.0
            && text(webhook, "/clientConfig/service/namespace") == service.1
    };
    let is_wrong = |webhook: &&Value| {
        text(webhook, "/clientConfig/caBundle") != bundle
            || policy.is_some_and(|policy| text(webhook, "/failurePolicy") != policy)
    };
    let right = |webhook: &Value| {
        let mut right = json!({ "name": webhook["name"], "clientConfig": { "caBundle": bundle } });
        if let Some(policy) = policy {
            right["failurePolicy"] = policy.into();
        }
        right
    };
    let wrong = webhooks.as_array()?.iter().filter(is_ours).filter(is_wrong);
    let right: Vec<Value> = wrong.map(right).collect();
    (!right.is_empty()).then(|| json!({ "webhooks": right }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_webhooks_are_corrected_and_only_what_is_wrong() {
        let webhook = |name: &str, service: &str, bundle: &str| {
            json!({ "name": name, "failurePolicy": "Ignore",
                "clientConfig": { "service": { "name": service, "namespace": "istio-system" }, "caBundle": bundle } })
        };
        let webhooks =
            json!([webhook("a", "istiod", "new"), webhook("b", "istiod", "old"), webhook("c", "other", "old")]);
        let ours = ("istiod", "istio-system");
        let patch = correction(&webhooks, ours, "new", None).unwrap();
        assert_eq!(patch, json!({ "webhooks": [{ "name": "b", "clientConfig": { "caBundle": "new" } }] }));
        let patch = correction(&webhooks, ours, "new", Some("Fail")).unwrap();
        assert_eq!(patch["webhooks"].as_array().unwrap().len(), 2);
        assert_eq!(patch["webhooks"][0]["failurePolicy"], "Fail");
        assert_eq!(correction(&json!([webhook("a", "istiod", "new")]), ours, "new", None), None);
        assert_eq!(correction(&webhooks, ("istiod-canary", "istio-system"), "new", None), None);
    }
}
