//! Looks, again and again, at how objects stand with this replica's own proxies.

use std::sync::Arc;
use std::time::Duration;

use galley::State;
use pilot::{Server, World};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::own::Own;
use super::standing::Standing;

/// What became of the objects is looked at this often.
const LOOK: Duration = Duration::from_millis(500);

/// What there is to look at.
#[derive(Clone)]
pub(crate) struct Sources {
    /// What is in force and what is refused.
    pub(crate) config: watch::Receiver<State>,
    /// What proxies are sent.
    pub(crate) world: watch::Receiver<Arc<World>>,
    /// Who is connected.
    pub(crate) xds: Server,
}

/// Somebody who looks.
pub(super) struct Look {
    sources: Sources,
    own: Own,
    ticks: Interval,
}

impl Look {
    /// Begins now.
    pub(super) fn begin(sources: &Sources) -> Self {
        let mut sources = sources.clone();
        let own = Own::begin(&mut sources.world);
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { sources, own, ticks }
    }

    /// The next look; `None` once the control plane ends.
    pub(super) async fn next(&mut self) -> Option<(State, Standing)> {
        loop {
            tokio::select! {
                changed = self.sources.world.changed() => {
                    changed.ok()?;
                    self.own.follow(&self.sources.world.borrow_and_update());
                }
                _ = self.ticks.tick() => {
                    let state = self.sources.config.borrow().clone();
                    let standing = self.own.standing(&state, self.sources.xds.connections());
                    return Some((state, standing));
                }
            }
        }
    }
}
