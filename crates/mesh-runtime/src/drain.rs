//! Ending in order: work is told to finish, and the end waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};

/// Tells how far the drain is, and hands out guards. Clones share one state and do not hold the end up.
#[derive(Clone, Debug)]
pub struct Drain {
    stage: watch::Sender<Stage>,
    /// It is asked with every answer, which must not lock what all threads share.
    begun: Arc<AtomicBool>,
    running: Arc<Running>,
}

/// What the end waits for: counted for every connection, and looked at once.
#[derive(Debug, Default)]
struct Running {
    count: AtomicUsize,
    /// Told whenever nothing runs any more.
    ended: Notify,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    /// Peers are told to go elsewhere, and served meanwhile.
    Begun,
    /// Peers that have nothing under way are let go.
    Closing,
}

/// Begins the drain and waits for its end.
#[derive(Clone, Debug)]
pub struct DrainTrigger {
    drain: Drain,
}

/// A piece of work that the end of the drain waits for; drop it when the work is done.
#[derive(Debug)]
pub struct DrainGuard {
    running: Arc<Running>,
}

impl Drain {
    /// A drain that has not begun, and the right to begin it.
    pub fn new() -> (DrainTrigger, Self) {
        let drain = Self { stage: watch::Sender::new(Stage::Running), begun: Arc::default(), running: Arc::default() };
        (DrainTrigger { drain: drain.clone() }, drain)
    }

    /// True once the drain has begun.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Waits until the drain begins, when peers are to be told to go elsewhere; returns at once if it has.
    pub async fn begun(&self) {
        self.reached(Stage::Begun).await;
    }

    /// Waits until what is idle is to be closed; returns at once if it is.
    pub async fn closing(&self) {
        self.reached(Stage::Closing).await;
    }

    async fn reached(&self, stage: Stage) {
        // The sender lives in self, so the channel cannot close while we wait.
        let _ = self.stage.subscribe().wait_for(|now| *now >= stage).await;
    }

    /// Counts a piece of work that the end of the drain is to wait for.
    pub fn guard(&self) -> DrainGuard {
        self.running.count.fetch_add(1, Ordering::SeqCst);
        DrainGuard { running: self.running.clone() }
    }

    /// How many pieces of work run.
    pub fn running(&self) -> usize {
        self.running.count.load(Ordering::SeqCst)
    }
}

impl DrainTrigger {
    /// Begins the drain. Doing so again changes nothing.
    pub fn begin(&self) {
        self.advance(Stage::Begun);
    }

    /// Lets go of what is idle.
    pub fn close(&self) {
        self.advance(Stage::Closing);
    }

    fn advance(&self, to: Stage) {
        self.drain.begun.store(true, Ordering::Release);
        self.drain.stage.send_if_modified(|stage| {
            let ahead = to > *stage;
            *stage = to.max(*stage);
            ahead
        });
    }

    /// Waits until no guard is left. Bound it with a time-out of your own.
    pub async fn finished(&self) {
        loop {
            // Listened for before the count is read, so that no end is missed between the two.
            let ended = self.drain.running.ended.notified();
            if self.drain.running() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for DrainGuard {
    fn drop(&mut self) {
        if self.running.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.running.ended.notify_waiters();
        }
    }
}

/// Waits for SIGTERM or SIGINT. A second one ends the process at once, with 128 plus the signal's number, as a shell
/// would report it.
///
/// # Errors
/// If the kernel does not let us handle signals.
pub async fn termination() -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let name = either(&mut terminate, &mut interrupt).await;
    tracing::info!("{name} received: draining; once more to exit at once");
    tokio::spawn(async move {
        let name = either(&mut terminate, &mut interrupt).await;
        tracing::warn!("{name} received again: exiting at once");
        std::process::exit(if name == "SIGTERM" { 128 + 15 } else { 128 + 2 });
    });
    Ok(())
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_waits_for_every_guard() {
        let (trigger, drain) = Drain::new();
        assert!(!drain.has_begun());
        trigger.finished().await;

        let (first, second) = (drain.guard(), drain.guard());
        trigger.begin();
        drain.begun().await;
        assert!(drain.has_begun());
        trigger.close();
        trigger.begin();
        drain.closing().await;
        let worker = tokio::spawn(async move {
            drop(first);
            tokio::task::yield_now().await;
            drop(second);
        });
        trigger.finished().await;
        assert_eq!(drain.running(), 0);
        worker.await.unwrap();
    }
}
