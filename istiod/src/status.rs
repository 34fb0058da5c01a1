//! The status of Istio's objects: whether each is valid, and how many of all proxies have it.
//!
//! ```text
//! State (what is in force, what is refused) ─┐
//! Worlds (since when) ───────────────────────┼▶ Own ─▶ Standing ──┬▶ tell, to the replica that leads
//! connections (which world each has) ────────┘                    ▼
//!                               Peers (their Standings) ──────▶ verdicts ─▶ Ledger ─▶ write, in the order of need
//! ```
//!
//! One replica of all revisions writes. It asks every other one how objects stand with its proxies, and adds up.

mod conditions;
mod conflicts;
mod ledger;
mod look;
mod missing;
mod own;
mod peers;
mod standing;
mod tell;
mod verdict;
mod wire;
mod write;

use std::collections::BTreeMap;

use galley::{ObjectRef, Objects, Scope};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::foundation::Cluster;
use ledger::Ledger;
use look::Look;
use peers::{Heard, Peers};
use standing::Standing;
use verdict::{Part, Verdict};

pub(crate) use look::Sources;
pub(crate) use peers::Trust;
pub(crate) use tell::Teller;

/// So many are written each time: with many objects, the API server is spared.
const AT_ONCE: usize = 10;

/// Keeps the status of all objects, for as long as `leads` says that this replica is the one to write.
pub(crate) async fn keep(cluster: Cluster, sources: Sources, trust: Trust, mut leads: watch::Receiver<bool>) {
    while leads.wait_for(|leads| *leads).await.is_ok() {
        let peers = Peers::new(cluster.place.clone(), trust.clone());
        tokio::select! {
            () = write_while(&cluster, &sources, peers) => return,
            _ = leads.wait_for(|leads| !leads) => {}
        }
    }
}

/// Ends when the control plane does.
async fn write_while(cluster: &Cluster, sources: &Sources, mut peers: Peers) {
    let mut look = Look::begin(sources);
    let mut ledger = Ledger::default();
    while let Some((state, own)) = look.next().await {
        peers.follow(&state.objects);
        let Some(mut verdicts) = add_up(&own, &peers, &cluster.place.scope(), &state.objects) else { continue };
        conflicts::add(&mut verdicts, &state);
        for (reference, verdict) in ledger.due(verdicts, Instant::now(), AT_ONCE) {
            match write::write(&cluster.client, &reference, &verdict).await {
                Ok(()) => ledger.written(reference, verdict, Instant::now()),
                Err(error) => {
                    tracing::debug!("{reference}: its status is not written yet: {error}");
                    break;
                }
            }
        }
    }
}

/// What all replicas together know; `None` while one of them was just asked.
fn add_up(own: &Standing, peers: &Peers, scope: &Scope, objects: &Objects) -> Option<BTreeMap<ObjectRef, Verdict>> {
    const UNKNOWN: &Standing = &Standing { objects: BTreeMap::new(), proxies: BTreeMap::new() };
    let heard = peers.heard();
    let mut replicas = vec![(scope.revision.as_ref(), own)];
    let mut silent = 0;
    for (replica, heard) in &heard {
        let standing = match &**heard {
            Heard::NotYet => return None,
            Heard::Standing(standing) => standing,
            Heard::Silent | Heard::Away => UNKNOWN,
            Heard::Foreign => continue,
        };
        silent += usize::from(matches!(**heard, Heard::Silent));
        replicas.push((replica.revision.as_str(), standing));
    }
    let connected = replicas.iter().flat_map(|(_, standing)| standing.proxies.keys());
    let mut missing = missing::proxies(objects, connected);
    let part = |(revision, standing): (&str, _)| {
        let scope = Scope { revision: revision.into(), ..scope.clone() };
        // Whoever is missing is counted with the first replica of its revision.
        Part::new(scope, standing, missing.remove(revision).unwrap_or_default())
    };
    let parts: Vec<Part<'_>> = replicas.into_iter().map(part).collect();
    Some(verdict::verdicts(&parts, silent))
}
