//! One of several replicas writes: the one that holds a Lease (`coordination.k8s.io`).
//!
//! Clocks of different machines are never compared. Whoever waits measures, by its own clock, for how long the lease has
//! not been renewed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long things take; those of Kubernetes' own controllers by default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// A lease that was not renewed for so long is free.
    pub(crate) lease: Duration,
    /// A leader that could not renew for so long leads no more. Shorter than `lease`, so that two never lead.
    pub(crate) renew: Duration,
    /// Between two tries.
    pub(crate) retry: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), renew: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// A replica that stands for the leadership in something.
pub(crate) struct Leadership {
    leads: watch::Receiver<bool>,
    resign: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Leadership {
    /// Stands from now on, with a name that no other replica has.
    pub(crate) fn stand(client: Client, namespace: &str, lease: &str, identity: &str, terms: Terms) -> Self {
        let (resign, resigned) = watch::channel(false);
        let (sender, leads) = watch::channel(false);
        let candidate = Candidate {
            leases: Api::namespaced(client, namespace),
            lease: lease.to_owned(),
            identity: identity.to_owned(),
            terms,
            seen: None,
            complained: false,
        };
        let task = tokio::spawn(candidate.run(sender, resigned));
        Self { leads, resign, task }
    }

    /// True for as long as this replica leads.
    pub(crate) fn leads(&self) -> watch::Receiver<bool> {
        self.leads.clone()
    }

    /// Stands no more, and leaves the lease to whoever comes first.
    pub(crate) async fn resign(self) {
        self.resign.send_replace(true);
        // A task that panicked has nothing left to give back.
        let _ = self.task.await;
    }
}

struct Candidate {
    leases: Api<Lease>,
    lease: String,
    identity: String,
    terms: Terms,
    /// Somebody else's lease as it was seen last, and since when it has been the same.
    seen: Option<(Option<String>, Instant)>,
    complained: bool,
}

impl Candidate {
    async fn run(mut self, leads: watch::Sender<bool>, mut resigned: watch::Receiver<bool>) {
        let mut renewed: Option<Instant> = None;
        while !*resigned.borrow() {
            let begun = Instant::now();
            let patience = renewed.map_or(self.terms.renew, |at| (at + self.terms.renew).duration_since(begun));
            match timeout(patience, self.try_once()).await {
                Ok(Ok(won)) => {
                    renewed = won.then_some(begun);
                    self.complained = false;
                }
                Ok(Err(error)) => self.complain(&error.to_string()),
                Err(_) => self.complain("the API server does not answer"),
            }
            renewed = renewed.filter(|at| at.elapsed() < self.terms.renew);
            self.tell(&leads, renewed.is_some());
            tokio::select! {
                () = tokio::time::sleep(self.terms.retry) => {}
                // The sender is gone with whoever asked: nobody needs a leader any more.
                _ = resigned.changed() => break,
            }
        }
        let led = *leads.borrow();
        self.tell(&leads, false);
        if led && let Ok(Err(error)) = timeout(self.terms.renew, self.release()).await {
            tracing::info!("the lease {} was not given back: {error}", self.lease);
        }
    }

    /// Once for each outage.
    fn complain(&mut self, why: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!("the lease {} can be neither had nor kept: {why}; trying again", self.lease);
        }
    }

    fn tell(&self, leads: &watch::Sender<bool>, now: bool) {
        let changed = leads.send_if_modified(|before| std::mem::replace(before, now) != now);
        if changed {
            tracing::info!("{} the lease {}", if now { "leads by" } else { "does not lead any more by" }, self.lease);
        }
    }

    /// True if the lease is ours now.
    async fn try_once(&mut self) -> Result<bool, kube::Error> {
        let Some(lease) = self.leases.get_opt(&self.lease).await? else {
            let metadata = ObjectMeta { name: Some(self.lease.clone()), ..Default::default() };
            let new = Lease { metadata, spec: Some(self.terms_from_now(0)) };
            return won(self.leases.create(&PostParams::default(), &new).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let mut ours = self.terms_from_now(spec.lease_transitions.unwrap_or_default());
        if holder == self.identity {
            ours.acquire_time = spec.acquire_time;
        } else if holder.is_empty() || self.has_lapsed(&lease) {
            ours.lease_transitions = ours.lease_transitions.map(|count| count.saturating_add(1));
        } else {
            return Ok(false);
        }
        let lease = Lease { spec: Some(ours), ..lease };
        won(self.leases.replace(&self.lease, &PostParams::default(), &lease).await)
    }

    /// True if somebody else's lease has been the same for longer than it is good for.
    fn has_lapsed(&mut self, lease: &Lease) -> bool {
        let version = &lease.metadata.resource_version;
        match &self.seen {
            Some((seen, since)) if seen == version => since.elapsed() > self.terms.lease,
            _ => {
                self.seen = Some((version.clone(), Instant::now()));
                false
            }
        }
    }

    fn terms_from_now(&self, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_duration_seconds: Some(i32::try_from(self.terms.lease.as_secs().max(1)).unwrap_or(i32::MAX)),
            lease_transitions: Some(transitions),
            ..Default::default()
        }
    }

    async fn release(&self) -> Result<(), kube::Error> {
        let Some(lease) = self.leases.get_opt(&self.lease).await? else { return Ok(()) };
        let spec = lease.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            return Ok(());
        }
        let lease = Lease { spec: Some(LeaseSpec { holder_identity: None, ..spec }), ..lease };
        self.leases.replace(&self.lease, &PostParams::default(), &lease).await.map(drop)
    }
}

/// Somebody else was faster: that is no error.
fn won(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
