//! Waiting between tries of something that must succeed in the end.

use std::time::Duration;

/// Exponential back-off with jitter: the n-th wait lies between half of, and all of, `min * 2^n`, at most `max`.
///
/// The jitter keeps a fleet that lost the same server from returning in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `min` (at least a millisecond), doubles up to `max` (at least `min`).
    pub fn new(min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_millis(1));
        Self { min, max: max.max(min), next: min }
    }

    /// The next wait, which also makes the one after it longer.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.next;
        self.next = ceiling.saturating_mul(2).min(self.max);
        ceiling.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// As [`next_delay`](Self::next_delay), but at most `most`; later waits grow from there.
    pub fn next_delay_at_most(&mut self, most: Duration) -> Duration {
        self.next = self.next.min(most.max(self.min));
        self.next_delay()
    }

    /// Sleeps for the next wait.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }

    /// Starts over. To be called when a try has proved that the other side is well.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubles_up_to_the_maximum_and_resets() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
        let mut ceiling = Duration::from_millis(500);
        for _ in 0..20 {
            let delay = backoff.next_delay();
            assert!(delay >= ceiling / 2 && delay <= ceiling, "{delay:?} is not within {ceiling:?} and its half");
            ceiling = (ceiling * 2).min(Duration::from_secs(60));
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(500));
    }

    #[test]
    fn a_lower_ceiling_holds_for_as_long_as_it_is_asked_for() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for _ in 0..20 {
            backoff.next_delay();
        }
        for _ in 0..20 {
            assert!(backoff.next_delay_at_most(Duration::from_secs(2)) <= Duration::from_secs(2));
        }
        assert!(backoff.next_delay() <= Duration::from_secs(4), "it grows from there");
        assert!(backoff.next_delay_at_most(Duration::ZERO) <= Duration::from_secs(1), "never less than the minimum");
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_in_bounds(min in any::<u64>(), max in any::<u64>(), tries in 0usize..80) {
            let (min, max) = (Duration::from_nanos(min), Duration::from_nanos(max));
            let mut backoff = Backoff::new(min, max);
            for _ in 0..tries {
                prop_assert!(backoff.next_delay() <= max.max(min).max(Duration::from_millis(1)));
            }
        }
    }
}
