//! Follows one kind through the API server, for ever: whatever goes wrong is waited out.

use std::time::{Duration, Instant};

use futures::{StreamExt, pin_mut};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use mesh_runtime::Backoff;
use tokio::sync::mpsc;

use super::watches::Watched;
use super::{Scope, api_resource};
use crate::diagnostic::ObjectRef;
use crate::kind::Kind;
use crate::load::{Loaded, load_object};

/// Waits after errors lie between these.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(5);
/// A kind that was there and is not any more is believed to be gone after so long: an API server that has just started
/// does not know its own kinds yet.
const GONE: Duration = Duration::from_secs(60);

/// What `kubectl apply` remembers.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Something that a watch says.
pub(super) struct News {
    pub(super) of: Watched,
    pub(super) event: Change,
}

/// What happened.
pub(super) enum Change {
    /// Everything will be said again.
    Again,
    /// An object as it is now.
    Is(Reading),
    /// An object is no more.
    Gone(ObjectRef),
    /// Everything has been said.
    Complete,
}

/// An object and what it says.
pub(super) struct Reading {
    pub(super) reference: ObjectRef,
    pub(super) generation: i64,
    pub(super) said: Loaded,
}

/// Nobody listens any more.
struct Unheard;

/// The follower of one watch.
pub(super) struct Follower {
    client: Client,
    scope: Scope,
    watched: Watched,
    news: mpsc::Sender<News>,
    backoff: Backoff,
    /// The last complaint; only the first one of an outage is for everybody.
    complaint: Option<String>,
    /// Since when no version of the kind is served.
    missing: Option<Instant>,
    /// It was read to its end at least once.
    complete: bool,
}

impl Follower {
    pub(super) fn new(client: Client, scope: Scope, watched: Watched, news: mpsc::Sender<News>) -> Self {
        let backoff = Backoff::new(SOONEST, LATEST);
        Self { client, scope, watched, news, backoff, complaint: None, missing: None, complete: false }
    }

    /// Follows until nobody listens. Versions of the kind are tried from the newest to the oldest.
    pub(super) async fn run(mut self) {
        loop {
            for version in self.watched.kind.versions() {
                if self.follow(&api_resource(self.watched.kind, version)).await.is_err() {
                    return;
                }
            }
            if self.missed().await.is_err() {
                return;
            }
        }
    }

    /// Follows one version until it turns out not to be served.
    async fn follow(&mut self, resource: &ApiResource) -> Result<(), Unheard> {
        let events = watcher(self.api(resource), self.selection());
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    self.backoff.reset();
                    self.missing = None;
                    if self.complaint.take().is_some() {
                        tracing::info!(kind = %self.watched.kind, "follows again");
                    }
                    self.tell(event, resource).await?;
                }
                Err(error) if has_code(&error, 404) => return Ok(()),
                // The API server has forgotten where the watch stood (410 Gone): everything is read again.
                Err(watcher::Error::WatchError(status)) if status.code == 410 => {
                    self.backoff.reset();
                    self.backoff.wait().await;
                }
                Err(error) => {
                    self.complain(&error);
                    if self.watched.kind == Kind::Secret && has_code(&error, 403) {
                        // The mesh does not wait for a secret that it must not read.
                        self.go_without().await?;
                    }
                    self.backoff.wait().await;
                }
            }
        }
        Ok(())
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        match &self.watched.place {
            Some((namespace, _)) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    fn selection(&self) -> watcher::Config {
        match &self.watched.place {
            Some((_, name)) => watcher::Config::default().fields(&format!("metadata.name={name}")),
            None => watcher::Config::default(),
        }
    }

    async fn tell(&mut self, event: Event<DynamicObject>, resource: &ApiResource) -> Result<(), Unheard> {
        let change = match event {
            Event::Init => Change::Again,
            Event::InitDone => {
                self.complete = true;
                Change::Complete
            }
            Event::Delete(object) => Change::Gone(self.reference(&object)),
            Event::Apply(object) | Event::InitApply(object) => {
                let label = object.labels().get("istio.io/rev").map(String::as_str);
                if self.watched.kind.is_istio() && !self.scope.covers(label) {
                    Change::Gone(self.reference(&object))
                } else {
                    Change::Is(self.read(object, resource))
                }
            }
        };
        self.send(change).await
    }

    async fn send(&self, event: Change) -> Result<(), Unheard> {
        self.news.send(News { of: self.watched.clone(), event }).await.map_err(|_| Unheard)
    }

    fn reference(&self, object: &DynamicObject) -> ObjectRef {
        ObjectRef {
            kind: self.watched.kind,
            namespace: object.namespace().unwrap_or_default().into(),
            name: object.name_any().into(),
        }
    }

    fn read(&self, mut object: DynamicObject, resource: &ApiResource) -> Reading {
        let reference = self.reference(&object);
        let generation = object.metadata.generation.unwrap_or_default();
        // Neither says anything to a mesh, and both are as long as the object itself.
        object.metadata.managed_fields = None;
        object.annotations_mut().remove(LAST_APPLIED);
        // Lists leave out what kind their elements are.
        object.types =
            Some(kube::api::TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
        let said = serde_json::to_value(object).map(|json| load_object(&json)).unwrap_or_default();
        Reading { reference, generation, said }
    }

    /// No version is served: the mesh goes on without the kind, and looks again after a while.
    async fn missed(&mut self) -> Result<(), Unheard> {
        let since = *self.missing.get_or_insert_with(Instant::now);
        if !self.complete {
            tracing::info!(kind = %self.watched.kind, "the cluster does not know this kind yet; waiting for it");
        }
        if since.elapsed() > GONE {
            self.complete = false;
        }
        self.go_without().await?;
        self.backoff.wait().await;
        Ok(())
    }

    /// Says that there is nothing, unless something was there before.
    async fn go_without(&mut self) -> Result<(), Unheard> {
        if self.complete {
            return Ok(());
        }
        self.complete = true;
        self.send(Change::Again).await?;
        self.send(Change::Complete).await
    }

    fn complain(&mut self, error: &watcher::Error) {
        let complaint = describe(error);
        if self.complaint.is_none() {
            tracing::warn!(kind = %self.watched.kind, "cannot be followed: {complaint}; trying again");
        } else {
            tracing::debug!(kind = %self.watched.kind, "cannot be followed: {complaint}");
        }
        self.complaint = Some(complaint);
    }
}

/// The API server answered, and with this status.
fn has_code(error: &watcher::Error, code: u16) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == code,
        _ => false,
    }
}

/// An error with its causes, which say what is the matter.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
