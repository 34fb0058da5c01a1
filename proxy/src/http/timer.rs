//! One timer a connection, moved only when a deadline comes nearer: most deadlines pass unmet.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer for one deadline after another.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready once `deadline` has passed; never without one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        // A timer that was set for an earlier deadline fires early, once, and is then set for this one.
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

/// The earlier of two deadlines that there may be.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn deadlines_move_both_ways() {
        let begun = Instant::now();
        let after = |millis| Some(begun + Duration::from_millis(millis));
        let mut timer = Timer::default();
        for millis in [30, 20, 90] {
            poll_fn(|cx| {
                assert!(timer.poll(cx, None).is_pending());
                Poll::Ready(())
            })
            .await;
            poll_fn(|cx| timer.poll(cx, after(millis))).await;
            assert!(begun.elapsed() >= Duration::from_millis(millis));
        }
        assert!(begun.elapsed() < Duration::from_millis(100));
    }
}
