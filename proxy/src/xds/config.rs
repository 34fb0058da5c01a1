//! The one handle through which the proxy reads configuration and asks for more.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use mesh_types::Name;
use tokio::sync::{mpsc, oneshot, watch};

use super::demand::{Demand, DemandError, DemandKey, cluster_known, host_known};
use crate::model::{LastUse, SecretName, ServerKeys, Snapshot, TlsSecrets};

/// How long a first use waits for the control plane's answer.
pub(super) const DEMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// How many first uses may travel to the client at once; more are told [`DemandError::TooManyWaiting`].
const DEMANDS_IN_FLIGHT: usize = 1024;

/// A host name of DNS, and a port.
const LONGEST_AUTHORITY: usize = 253 + 6;

/// Configuration as the proxy sees it. Cheap to clone; shared by all threads.
#[derive(Clone)]
pub struct Config {
    shared: Arc<Shared>,
}

/// A worker's own view of [`Config`]: reading it costs one atomic load while nothing changed.
pub type Reader = arc_swap::Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>;

struct Shared {
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Serialises publications: xDS and the identity agent both edit.
    publish: parking_lot::Mutex<()>,
    /// To the client; `None` where configuration is fixed.
    demands: Option<mpsc::Sender<Demand>>,
    timeout: Duration,
    status: watch::Sender<Status>,
    version: watch::Sender<u64>,
    minute: AtomicU32,
    identity: OnceLock<Box<str>>,
    authority_crl: OnceLock<PathBuf>,
}

/// How configuration stands, for readiness and the admin interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// A stream to the control plane is open now.
    pub connected: bool,
    /// Everything first asked for has been answered once. Never returns to false: what is held keeps serving.
    pub synced: bool,
    /// How often a stream was opened.
    pub connections: u64,
    /// What went wrong last with the control plane, if anything did.
    pub last_error: Option<Arc<str>>,
    /// Resources that the control plane sent and that are refused for now, by type and name.
    pub refused: Arc<[Refusal]>,
}

/// A resource that cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its type: `listener`, `route`, `virtual host`, `cluster`, `endpoints` or `secret`.
    pub kind: &'static str,
    /// Its resource name.
    pub name: Name,
    /// The version refused.
    pub version: Name,
    /// The field's path and what is wrong with it.
    pub reason: Arc<str>,
    /// An older version of it is in force.
    pub older_in_force: bool,
}

impl Config {
    /// Configuration that never changes by itself: what it lacks does not exist. For tests and simulation.
    pub fn fixed(snapshot: Snapshot) -> Self {
        let status = Status { synced: true, ..Status::default() };
        Self::new(snapshot, None, DEMAND_TIMEOUT, status)
    }

    /// Configuration fed by a client, which receives what is asked for.
    pub(crate) fn fed(timeout: Duration) -> (Self, mpsc::Receiver<Demand>) {
        let (demands, receiver) = mpsc::channel(DEMANDS_IN_FLIGHT);
        (Self::new(Snapshot::default(), Some(demands), timeout, Status::default()), receiver)
    }

    fn new(mut snapshot: Snapshot, demands: Option<mpsc::Sender<Demand>>, timeout: Duration, status: Status) -> Self {
        snapshot.index_listeners();
        let shared = Shared {
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            publish: parking_lot::Mutex::new(()),
            demands,
            timeout,
            status: watch::Sender::new(status),
            version: watch::Sender::new(0),
            minute: AtomicU32::new(0),
            identity: OnceLock::new(),
            authority_crl: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The newest snapshot.
    pub fn current(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// A view for one worker thread, cheaper to read than [`Config::current`].
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.snapshot.clone())
    }

    /// A snapshot that has the listener for a redirected connection's original destination (see
    /// [`Snapshot::listener_for`]). Known destinations, there or not, are answered without waiting.
    ///
    /// # Errors
    /// [`DemandError::DoesNotExist`] leaves the connection to the default chain of the listener that captured it;
    /// any other says why that is not known.
    pub async fn listener(&self, destination: SocketAddr) -> Result<Arc<Snapshot>, DemandError> {
        self.demand(DemandKey::Listener(destination)).await
    }

    /// A snapshot in which the route configuration `route` names the authority exactly (VHDS). `authority` is taken
    /// as the request has it; case is folded here. Known authorities, there or not, are answered without waiting.
    ///
    /// # Errors
    /// [`DemandError::DoesNotExist`] leaves the request to the route configuration's own wildcards; any other says
    /// why that is not known.
    pub async fn virtual_host(&self, route: &Name, authority: &str) -> Result<Arc<Snapshot>, DemandError> {
        let lower = lower_case(authority);
        let snapshot = self.current();
        // No host has such a name, and nobody is to make us remember it.
        if lower.len() > LONGEST_AUTHORITY {
            return Err(DemandError::DoesNotExist);
        }
        match host_known(&snapshot, route, &lower) {
            Some(known) => known.map(|()| snapshot),
            None => self.demand(DemandKey::Host(route.clone(), lower.as_ref().into())).await,
        }
    }

    /// A snapshot that has this cluster, and its endpoints if they come by EDS.
    ///
    /// # Errors
    /// As [`DemandError`] says.
    pub async fn cluster(&self, name: &str) -> Result<Arc<Snapshot>, DemandError> {
        let snapshot = self.current();
        match cluster_known(&snapshot, name) {
            Some(known) => known.map(|()| snapshot),
            None => self.demand(DemandKey::Cluster(name.into())).await,
        }
    }

    async fn demand(&self, key: DemandKey) -> Result<Arc<Snapshot>, DemandError> {
        let snapshot = self.current();
        if let Some(known) = key.known(&snapshot) {
            return known.map(|()| snapshot);
        }
        let Some(demands) = &self.shared.demands else { return Err(DemandError::DoesNotExist) };
        let (reply, answer) = oneshot::channel();
        demands.try_send(Demand { key, reply }).map_err(|_| DemandError::TooManyWaiting)?;
        // Apart, since what waits seldom should not make all others larger.
        match Box::pin(tokio::time::timeout(self.shared.timeout, answer)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(DemandError::TooManyWaiting),
            Err(_) => Err(DemandError::TimedOut(self.shared.timeout)),
        }
    }

    /// Marks a listener or virtual host as in use now, so that it is kept.
    pub fn touch(&self, last_use: &LastUse) {
        last_use.mark(self.minute());
    }

    /// Minutes since configuration began, as last ticked by the client.
    pub(crate) fn minute(&self) -> u32 {
        self.shared.minute.load(Ordering::Relaxed)
    }

    /// Sets the clock of [`Config::touch`].
    pub(crate) fn set_minute(&self, minute: u32) {
        self.shared.minute.store(minute, Ordering::Relaxed);
    }

    /// Who we are, as a SPIFFE URI; told once.
    pub fn set_identity_uri(&self, uri: &str) {
        let _ = self.shared.identity.set(uri.into());
    }

    /// Who we are, as a SPIFFE URI, once that was told.
    pub fn identity(&self) -> Option<&str> {
        self.shared.identity.get().map(|uri| &**uri)
    }

    /// Where revocation lists of the mesh's own authority would be; told once, before workers begin.
    pub fn set_authority_crl(&self, file: &Path) {
        let _ = self.shared.authority_crl.set(file.into());
    }

    /// Where revocation lists of the mesh's own authority would be, if that was told.
    pub fn authority_crl(&self) -> Option<&Path> {
        self.shared.authority_crl.get().map(PathBuf::as_path)
    }

    /// The workload's own keys and the mesh's roots, from the identity agent; `None` leaves what is held.
    pub fn set_identity(&self, keys: Option<ServerKeys>, roots_pem: Option<Vec<u8>>) {
        self.edit(|snapshot| {
            if let Some(keys) = keys {
                let secrets = TlsSecrets { keys: Some(keys), ..TlsSecrets::default() };
                snapshot.secrets.insert(SecretName::Workload, Arc::new(secrets));
            }
            if let Some(roots) = roots_pem {
                let secrets = TlsSecrets { roots_pem: Some(roots), ..TlsSecrets::default() };
                snapshot.secrets.insert(SecretName::MeshRoots, Arc::new(secrets));
            }
        });
    }

    /// Replaces fixed configuration (tests, simulation). The identity's secrets stay.
    pub fn publish(&self, snapshot: Snapshot) {
        self.edit(|held| {
            let identity = [SecretName::Workload, SecretName::MeshRoots];
            let kept = identity.map(|name| held.secrets.remove_entry(&name));
            *held = Snapshot { version: held.version, ..snapshot };
            held.secrets.extend(kept.into_iter().flatten());
            held.index_listeners();
        });
    }

    /// Edits a copy of the newest snapshot and publishes it whole, under the next version.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Snapshot)) -> Arc<Snapshot> {
        let _one_at_a_time = self.shared.publish.lock();
        let mut next = Snapshot::clone(&self.shared.snapshot.load());
        change(&mut next);
        next.version += 1;
        let next = Arc::new(next);
        self.shared.snapshot.store(next.clone());
        self.shared.version.send_replace(next.version);
        next
    }

    /// Follows the version of the newest snapshot: changes once for each publication.
    pub fn watch_version(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// How configuration stands now.
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// Follows how configuration stands: readiness waits on this for `synced`.
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// Changes the status and wakes its watchers.
    pub(crate) fn set_status(&self, change: impl FnOnce(&mut Status)) {
        self.shared.status.send_modify(change);
    }
}

fn lower_case(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RouteConfig;

    #[tokio::test]
    async fn what_fixed_configuration_lacks_does_not_exist() {
        let mut snapshot = Snapshot::default();
        let mut route = RouteConfig { name: "80".into(), ..RouteConfig::default() };
        route.exact.insert("reviews".into(), 0);
        snapshot.routes.insert("80".into(), Arc::new(route));
        let config = Config::fixed(snapshot);
        assert!(config.virtual_host(&"80".into(), "Reviews").await.is_ok());
        assert_eq!(config.virtual_host(&"80".into(), "x").await.unwrap_err(), DemandError::DoesNotExist);
        assert_eq!(config.cluster("c").await.unwrap_err(), DemandError::DoesNotExist);
        assert_eq!(config.listener(([10, 0, 0, 1], 80).into()).await.unwrap_err(), DemandError::DoesNotExist);
    }

    #[test]
    fn identity_survives_publication_and_readers_follow() {
        let config = Config::fixed(Snapshot::default());
        let mut reader = config.reader();
        assert!(reader.load().secrets.is_empty());
        config.set_identity(None, Some(b"roots".to_vec()));
        config.publish(Snapshot::default());
        assert!(reader.load().secrets.contains_key(&SecretName::MeshRoots));
        assert_eq!(reader.load().version, 2);
    }
}
