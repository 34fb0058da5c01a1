//! The status of Istio's objects: whether each is valid, and how many of the connected proxies have it.
//!
//! ```text
//! State (what is in force, what is refused) ─┐
//! Worlds (since when) ───────────────────────┼▶ Ledger ─▶ verdicts ─▶ write, in the order of need and at a bounded rate
//! connections (which world each has) ────────┘
//! ```

mod conditions;
mod ledger;
mod missing;
mod write;

use std::sync::Arc;
use std::time::Duration;

use galley::State;
use pilot::{Server, World};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::foundation::Cluster;
use ledger::Ledger;

/// What became of the objects is looked at this often.
const LOOK: Duration = Duration::from_millis(500);
/// So many are written each time: with many objects, the API server is spared.
const AT_ONCE: usize = 10;

/// Keeps the status of all objects, for as long as `leads` says that this replica is the one to write.
pub(crate) async fn keep(
    cluster: Cluster,
    config: watch::Receiver<State>,
    world: watch::Receiver<Arc<World>>,
    xds: Server,
    mut leads: watch::Receiver<bool>,
) {
    while leads.wait_for(|leads| *leads).await.is_ok() {
        tokio::select! {
            () = write_while(&cluster, &config, world.clone(), &xds) => return,
            _ = leads.wait_for(|leads| !leads) => {}
        }
    }
}

/// Ends when the control plane does.
async fn write_while(
    cluster: &Cluster,
    config: &watch::Receiver<State>,
    mut world: watch::Receiver<Arc<World>>,
    xds: &Server,
) {
    let mut ledger = Ledger::default();
    ledger.follow(&world.borrow_and_update());
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = world.changed() => {
                if changed.is_err() {
                    return;
                }
                ledger.follow(&world.borrow_and_update());
                continue;
            }
            _ = ticks.tick() => {}
        }
        let state = config.borrow().clone();
        let mut has: Vec<Option<u64>> = xds.connections().into_iter().map(|one| one.has).collect();
        // Who is not connected has nothing.
        has.resize(has.len().max(missing::proxies(&state.objects, &cluster.place)), None);
        for (reference, verdict) in ledger.due(&state, has, Instant::now(), AT_ONCE) {
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
