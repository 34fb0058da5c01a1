//! Clusters made of names: resolution again and again, on the control thread.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use tokio::sync::{OnceCell, watch};

use crate::model::{Cluster, Discovery, DnsEndpoint, Endpoint, EndpointSet, LocalityEndpoints};

/// Names are looked up again after their time to live, but not more often than this …
const SHORTEST: Duration = Duration::from_secs(1);
/// … and not less often than this.
const LONGEST: Duration = Duration::from_secs(300);
/// After a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What a cluster is made of, and whether each name is one endpoint or as many as it has addresses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Names {
    endpoints: Arc<[DnsEndpoint]>,
    first_address_only: bool,
}

/// The operating system's resolver settings, read once.
#[derive(Clone, Default)]
pub(super) struct Resolver(Arc<OnceCell<TokioResolver>>);

/// The names of a cluster, if it is made of names.
pub(super) fn names(cluster: &Cluster) -> Option<Names> {
    match &cluster.discovery {
        Discovery::StrictDns(endpoints) => Some(Names { endpoints: endpoints.clone(), first_address_only: false }),
        Discovery::LogicalDns(endpoints) => Some(Names { endpoints: endpoints.clone(), first_address_only: true }),
        _ => None,
    }
}

/// Looks the names up until nobody listens. A name that fails keeps its last addresses.
pub(super) async fn follow(resolver: Resolver, names: Names, sender: watch::Sender<Option<Arc<EndpointSet>>>) {
    let mut last: Vec<Vec<IpAddr>> = vec![Vec::new(); names.endpoints.len()];
    while !sender.is_closed() {
        let mut wait = LONGEST;
        for (name, addresses) in names.endpoints.iter().zip(&mut last) {
            match resolver.look_up(&name.host).await {
                Ok((found, valid)) => {
                    *addresses = found;
                    wait = wait.min(valid);
                }
                Err(reason) => {
                    tracing::warn!(host = %name.host, "cannot resolve a cluster's name: {reason}");
                    wait = wait.min(AFTER_FAILURE);
                }
            }
        }
        publish(&names, &last, &sender);
        tokio::select! {
            () = tokio::time::sleep(wait.max(SHORTEST)) => {}
            () = sender.closed() => return,
        }
    }
}

/// Wakes readers only if addresses changed, so that nobody rebuilds for nothing.
fn publish(names: &Names, addresses: &[Vec<IpAddr>], sender: &watch::Sender<Option<Arc<EndpointSet>>>) {
    let next = endpoints(names, addresses);
    sender.send_if_modified(|held| {
        let changed = held.as_deref().is_none_or(|held| *held != next);
        if changed {
            *held = Some(Arc::new(next));
        }
        changed
    });
}

fn endpoints(names: &Names, addresses: &[Vec<IpAddr>]) -> EndpointSet {
    let mut localities: Vec<LocalityEndpoints> = Vec::new();
    for (name, addresses) in names.endpoints.iter().zip(addresses) {
        let taken = if names.first_address_only { &addresses[..addresses.len().min(1)] } else { &addresses[..] };
        let made = taken.iter().map(|address| {
            Arc::new(Endpoint { address: SocketAddr::new(*address, name.port), ..name.template.clone() })
        });
        let place = |held: &&mut LocalityEndpoints| (held.priority, &held.locality) == (name.priority, &name.locality);
        match localities.iter_mut().find(place) {
            Some(held) => held.endpoints.extend(made),
            None => localities.push(LocalityEndpoints {
                locality: name.locality.clone(),
                priority: name.priority,
                weight: 1,
                endpoints: made.collect(),
            }),
        }
    }
    localities.sort_by_key(|locality| locality.priority);
    EndpointSet { localities }
}

impl Resolver {
    /// Addresses in a fixed order, and for how long they are good. A literal address is itself.
    async fn look_up(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        if let Ok(address) = host.parse() {
            return Ok((vec![address], LONGEST));
        }
        let resolver = self.0.get_or_try_init(|| async {
            Ok::<_, String>(TokioResolver::builder_tokio().map_err(|error| error.to_string())?.build())
        });
        let found = resolver.await?.lookup_ip(host).await.map_err(|error| error.to_string())?;
        let valid = found.valid_until().saturating_duration_since(Instant::now());
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok((addresses, valid))
    }
}
