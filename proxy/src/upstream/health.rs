//! Passive health: one record an address, shared by all clusters and workers, so that an endpoint that is sick for one
//! route is sick for all.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::model::OutlierDetection;

/// How a request or a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered with this HTTP status.
    Answer(u16),
    /// No connection, or it broke before an answer.
    LocalFailure,
    /// A connection was made (for traffic that has no answers).
    Connected,
}

/// What is known of an address. Times are milliseconds since [`super::Shared`] began.
#[derive(Debug, Default)]
pub(super) struct Health {
    errors: AtomicU32,
    gateway_errors: AtomicU32,
    local_errors: AtomicU32,
    /// 0 if it was never ejected.
    ejected_until: AtomicU64,
    /// How often in a row it was ejected: each time is longer.
    ejections: AtomicU32,
}

impl Health {
    /// Counts an outcome; true if the rule says that the endpoint should be ejected.
    pub(super) fn note(&self, outcome: Outcome, rule: &OutlierDetection) -> bool {
        match outcome {
            Outcome::Answer(status) if status >= 500 => {
                clear(&self.local_errors);
                let gateway = matches!(status, 502..=504);
                if !gateway {
                    clear(&self.gateway_errors);
                }
                reached(&self.errors, rule.consecutive_5xx)
                    | (gateway && reached(&self.gateway_errors, rule.consecutive_gateway))
            }
            Outcome::LocalFailure if rule.split_local => reached(&self.local_errors, rule.consecutive_local),
            Outcome::LocalFailure => {
                reached(&self.errors, rule.consecutive_5xx) | reached(&self.gateway_errors, rule.consecutive_gateway)
            }
            Outcome::Answer(_) => {
                [&self.errors, &self.gateway_errors, &self.local_errors].into_iter().for_each(clear);
                false
            }
            Outcome::Connected => {
                clear(&self.local_errors);
                if !rule.split_local {
                    clear(&self.errors);
                    clear(&self.gateway_errors);
                }
                false
            }
        }
    }

    /// True while it is ejected.
    pub(super) fn is_ejected(&self, now: u64) -> bool {
        now < self.ejected_until.load(Ordering::Relaxed)
    }

    /// When it comes back, if it is ejected.
    pub(super) fn back_at(&self, now: u64) -> Option<u64> {
        let until = self.ejected_until.load(Ordering::Relaxed);
        (now < until).then_some(until)
    }

    /// Ejects it; false if it is already. The time grows with each ejection in a row, and shrinks again by one step for
    /// each interval in good health (Envoy's `outlier_detection`).
    pub(super) fn eject(&self, now: u64, rule: &OutlierDetection) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        if now < until {
            return false;
        }
        let well_for = now - until;
        let steps_down = if until == 0 { u64::MAX } else { well_for / millis(rule.interval).max(1) };
        let before = u64::from(self.ejections.load(Ordering::Relaxed)).saturating_sub(steps_down);
        let times = before + 1;
        let length = millis(rule.base_ejection).saturating_mul(times).min(millis(rule.max_ejection));
        let longest = length.max(millis(rule.base_ejection));
        self.ejections.store(u32::try_from(times).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.ejected_until.store(now.saturating_add(longest), Ordering::Relaxed);
        [&self.errors, &self.gateway_errors, &self.local_errors].into_iter().for_each(clear);
        true
    }
}

/// Counts one more in a row; true once the threshold is reached. A threshold of 0 never is.
fn reached(counter: &AtomicU32, threshold: u32) -> bool {
    let count = counter.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    threshold != 0 && count >= threshold
}

/// Writes only when there is something to clear, so that a healthy endpoint's cache line stays shared.
fn clear(counter: &AtomicU32) {
    if counter.load(Ordering::Relaxed) != 0 {
        counter.store(0, Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> OutlierDetection {
        OutlierDetection {
            consecutive_5xx: 3,
            consecutive_gateway: 2,
            consecutive_local: 2,
            split_local: false,
            interval: Duration::from_secs(1),
            base_ejection: Duration::from_secs(10),
            max_ejection: Duration::from_secs(25),
            max_ejection_percent: 100,
        }
    }

    #[test]
    fn failures_in_a_row_count_and_a_success_forgives() {
        let health = Health::default();
        assert!(!health.note(Outcome::Answer(500), &rule()));
        assert!(!health.note(Outcome::Answer(500), &rule()));
        assert!(!health.note(Outcome::Answer(200), &rule()));
        assert!(!health.note(Outcome::Answer(500), &rule()));
        assert!(!health.note(Outcome::Answer(503), &rule()));
        assert!(health.note(Outcome::Answer(503), &rule()));
    }

    #[test]
    fn local_failures_count_by_themselves_when_split() {
        let split = OutlierDetection { split_local: true, consecutive_5xx: 1, ..rule() };
        let health = Health::default();
        assert!(!health.note(Outcome::LocalFailure, &split));
        assert!(health.note(Outcome::LocalFailure, &split));
        assert!(!health.note(Outcome::Connected, &split));
        assert!(!health.note(Outcome::LocalFailure, &split));
    }

    #[test]
    fn ejections_in_a_row_grow_longer_and_good_health_shortens_them() {
        let health = Health::default();
        assert!(health.eject(1_000, &rule()));
        assert!(!health.eject(1_000, &rule()));
        assert!(health.is_ejected(10_999) && !health.is_ejected(11_000));
        assert!(health.eject(11_000, &rule()));
        assert_eq!(health.back_at(11_000), Some(31_000));
        assert!(health.eject(31_500, &rule()));
        assert_eq!(health.back_at(31_500), Some(56_500), "the longest ejection bounds it");
        assert!(health.eject(100_000, &rule()));
        assert_eq!(health.back_at(100_000), Some(110_000));
    }
}
