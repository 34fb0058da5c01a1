//! Clusters at work: which endpoint takes a request, how much may be under way, and who is sick.
//!
//! Each worker has its own [`Upstreams`]: hosts with their active requests and pools. What must hold over all workers is
//! in [`Shared`]: limits, passive health and resolved names.

mod balance;
mod dns;
mod health;
mod host;
mod limits;
mod shared;
mod view;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::fault::{Cause, Fault, Step};
use crate::model::{Cluster, Discovery, Endpoint, EndpointSet, LbPolicy, Snapshot};

pub use health::Outcome;
pub use host::Host;
pub use limits::{Breakers, Permit, Usage, What};
pub use shared::Shared;

use view::View;

/// A worker's clusters.
pub struct Upstreams {
    shared: Arc<Shared>,
    known: RefCell<Known>,
}

#[derive(Default)]
struct Known {
    /// When a snapshot of this version came, those that it does not have were let go.
    swept_at: u64,
    /// By the address of a cluster's configuration, which the upstream holds: no other can have it meanwhile.
    by_config: HashMap<*const Cluster, Rc<Upstream>>,
}

/// A cluster at work on one worker.
pub struct Upstream {
    /// Its configuration.
    pub config: Arc<Cluster>,
    shared: Arc<Shared>,
    breakers: Breakers,
    /// The version of the newest snapshot whose endpoints were taken.
    followed: Cell<Option<u64>>,
    /// The EDS resource that `view` was made from.
    eds: RefCell<Option<Arc<EndpointSet>>>,
    /// What names resolve to, where the cluster is made of names.
    resolved: Option<Arc<shared::Resolution>>,
    view: RefCell<View>,
}

/// What a choice may depend on.
#[derive(Clone, Copy, Debug, Default)]
pub struct PickContext<'a> {
    /// The request's hash, for consistent hashing; without one the choice is random.
    pub hash: Option<u64>,
    /// Where the caller meant to go, for clusters of the original destination.
    pub original_destination: Option<SocketAddr>,
    /// Endpoints that failed this request already; others are preferred.
    pub tried: &'a [SocketAddr],
}

/// A chosen endpoint. It counts as busy until this is dropped.
pub struct Pick {
    /// The endpoint with what this worker keeps for it.
    pub host: Rc<Host>,
    upstream: Rc<Upstream>,
}

impl Upstreams {
    /// No clusters yet.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, known: RefCell::default() }
    }

    /// A snapshot's cluster at work, with the endpoints of the newest snapshot that it was asked for with.
    pub fn get(&self, snapshot: &Snapshot, config: &Arc<Cluster>) -> Rc<Upstream> {
        let mut known = self.known.borrow_mut();
        known.sweep(snapshot);
        let make = || Rc::new(Upstream::new(self.shared.clone(), config.clone()));
        let upstream = known.by_config.entry(Arc::as_ptr(config)).or_insert_with(make).clone();
        upstream.follow(snapshot);
        upstream
    }

    /// Visits every host that this worker holds.
    pub fn for_each_host(&self, mut visit: impl FnMut(&Cluster, &Rc<Host>)) {
        for upstream in self.known.borrow().by_config.values() {
            upstream.view.borrow().hosts().for_each(|host| visit(&upstream.config, host));
        }
    }

    /// Lets go what is idle: hosts of original destinations and connections that nobody uses. For a timer of the worker.
    pub fn tidy(&self) {
        for upstream in self.known.borrow().by_config.values() {
            upstream.view.borrow_mut().tidy();
        }
    }
}

impl Known {
    fn sweep(&mut self, snapshot: &Snapshot) {
        if self.swept_at < snapshot.version {
            self.swept_at = snapshot.version;
            let has = |config: &Arc<Cluster>| {
                snapshot.clusters.get(&config.name).is_some_and(|newest| Arc::ptr_eq(newest, config))
            };
            self.by_config.retain(|_, upstream| has(&upstream.config));
        }
    }
}

impl Upstream {
    fn new(shared: Arc<Shared>, config: Arc<Cluster>) -> Self {
        let endpoints = match &config.discovery {
            Discovery::Static(endpoints) => endpoints.clone(),
            _ => Arc::default(),
        };
        Self {
            breakers: Breakers::new(shared.usage(&config.name), config.breakers),
            followed: Cell::default(),
            eds: RefCell::default(),
            resolved: dns::names(&config).map(|names| shared.resolve(&config.name, names)),
            view: RefCell::new(View::new(&config, &endpoints, &shared, None)),
            shared,
            config,
        }
    }

    /// Takes the endpoints that the snapshot has, unless a newer one's are here.
    fn follow(&self, snapshot: &Snapshot) {
        let version = Some(snapshot.version);
        if self.followed.get() >= version {
            return;
        }
        self.followed.set(version);
        let Discovery::Eds(name) = &self.config.discovery else { return };
        let Some(endpoints) = snapshot.endpoints.get(name) else { return };
        let mut held = self.eds.borrow_mut();
        if !held.as_ref().is_some_and(|held| Arc::ptr_eq(held, endpoints)) {
            self.replace_endpoints(endpoints);
            *held = Some(endpoints.clone());
        }
    }

    fn replace_endpoints(&self, endpoints: &Arc<EndpointSet>) {
        let mut view = self.view.borrow_mut();
        let next = View::new(&self.config, endpoints, &self.shared, Some(&view));
        *view = next;
    }

    /// Waits until names have been looked up once, where the cluster is made of names.
    ///
    /// # Errors
    /// [`Cause::DnsFailure`] if they do not resolve, or not within the cluster's connect timeout.
    pub async fn ready(&self) -> Result<(), Fault> {
        let Some(resolved) = &self.resolved else { return Ok(()) };
        let failure = || Fault::new(Cause::DnsFailure, Step::Balance);
        let mut resolved = resolved.endpoints.clone();
        let waited = resolved.wait_for(Option::is_some);
        match Box::pin(tokio::time::timeout(self.config.connect_timeout, waited)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(failure()),
            Err(_) => Err(failure().because("no answer within the connect timeout")),
        }
    }

    /// Limits on what is under way.
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// True if this address is one of the cluster's endpoints.
    pub fn has(&self, address: SocketAddr) -> bool {
        self.view.borrow().hosts().any(|host| host.endpoint.address == address)
    }

    /// Chooses an endpoint.
    ///
    /// # Errors
    /// [`Cause::NoHealthyUpstream`] if there is none to be used.
    pub fn pick(self: &Rc<Self>, context: &PickContext<'_>) -> Result<Pick, Fault> {
        self.take_resolved();
        let none = || Fault::new(Cause::NoHealthyUpstream, Step::Balance);
        let mut view = self.view.borrow_mut();
        let host = if matches!(self.config.discovery, Discovery::OriginalDst) {
            let address = context.original_destination.ok_or_else(|| none().because("no original destination"))?;
            view.host_of(address, &self.shared)
        } else {
            view.pick(context, &self.shared).ok_or_else(|| none().because(self.why_none(&view)))?
        };
        host.state.active.set(host.state.active.get() + 1);
        Ok(Pick { host, upstream: self.clone() })
    }

    fn why_none(&self, view: &View) -> String {
        let all = view.hosts().count();
        match all {
            0 => format!("{} has no endpoints", self.config.name),
            _ => format!("none of the {all} endpoints of {} is healthy", self.config.name),
        }
    }

    fn take_resolved(&self) {
        let Some(resolved) = &self.resolved else { return };
        let newest = resolved.endpoints.borrow().clone();
        let mut held = self.eds.borrow_mut();
        if let Some(newest) = newest
            && !held.as_ref().is_some_and(|held| Arc::ptr_eq(held, &newest))
        {
            self.replace_endpoints(&newest);
            *held = Some(newest);
        }
    }

    /// True if a hash is of use to this cluster.
    pub fn hashes(&self) -> bool {
        matches!(self.config.lb, LbPolicy::Hash(_))
    }
}

impl Pick {
    /// The endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.host.endpoint
    }

    /// The cluster.
    pub fn upstream(&self) -> &Rc<Upstream> {
        &self.upstream
    }

    /// Tells passive health how it went.
    pub fn report(&self, outcome: Outcome) {
        let (Some(rule), Some(health)) = (&self.upstream.config.outlier, &self.host.state.health) else { return };
        if health.note(outcome, rule) {
            self.upstream.eject(health, rule);
        }
    }

    /// Tells passive health that there is no connection. That a limit of the cluster was met says nothing of the endpoint
    /// (Envoy's outlier detection ignores overflow, too).
    pub fn unreached(&self, fault: &Fault) {
        if fault.cause != Cause::Overflow {
            self.report(Outcome::LocalFailure);
        }
    }
}

impl Upstream {
    /// Ejects an endpoint, unless too many of the cluster are already out.
    fn eject(&self, health: &health::Health, rule: &crate::model::OutlierDetection) {
        let now = self.shared.now();
        let view = self.view.borrow();
        let (mut all, mut out) = (0_u32, 0_u32);
        for host in view.hosts() {
            all += 1;
            out += u32::from(host.state.health.as_ref().is_some_and(|health| health.is_ejected(now)));
        }
        // At least one may always be ejected, as in Envoy.
        let allowed = (all * rule.max_ejection_percent / 100).max(1);
        if out < allowed && health.eject(now, rule) {
            self.shared.health_changed();
            tracing::info!(cluster = %self.config.name, "ejected an endpoint: too many failures in a row");
        }
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        let active = &self.host.state.active;
        active.set(active.get().saturating_sub(1));
    }
}

#[cfg(test)]
pub(crate) mod tests;
