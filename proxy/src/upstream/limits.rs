//! Circuit breakers: how much of a cluster's work may be under way, over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::model::CircuitBreakers;

/// What is under way in a cluster, shared by all workers.
#[derive(Debug, Default)]
pub struct Usage {
    connections: Gauge,
    pending: Gauge,
    requests: Gauge,
    retries: Gauge,
}

/// What of one kind is under way now, as far as it has a limit, and how often there was no more room.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicU32,
    overflowed: AtomicU64,
}

/// A cluster's limits with what is under way.
#[derive(Debug)]
pub struct Breakers {
    usage: Arc<Usage>,
    limits: CircuitBreakers,
}

/// Something under way; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the permit ends when it is dropped"]
pub struct Permit(Option<(Arc<Usage>, What)>);

/// A kind of work that can have a limit.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A connection.
    Connection,
    /// A request that waits for a connection.
    Pending,
    /// A request in flight.
    Request,
    /// A retry in flight.
    Retry,
}

impl Usage {
    /// How much is under way now. What has no limit is not counted.
    pub fn now(&self, what: What) -> u32 {
        self.gauge(what).now.load(Ordering::Relaxed)
    }

    /// How often there was no room for more.
    pub fn overflowed(&self, what: What) -> u64 {
        self.gauge(what).overflowed.load(Ordering::Relaxed)
    }

    fn gauge(&self, what: What) -> &Gauge {
        match what {
            What::Connection => &self.connections,
            What::Pending => &self.pending,
            What::Request => &self.requests,
            What::Retry => &self.retries,
        }
    }
}

impl Breakers {
    pub(crate) fn new(usage: Arc<Usage>, limits: CircuitBreakers) -> Self {
        Self { usage, limits }
    }

    /// One more connection (`max_connections`).
    pub fn try_connection(&self) -> Option<Permit> {
        self.take(What::Connection, self.limits.max_connections)
    }

    /// One more request that waits for a connection (`max_pending_requests`).
    pub fn try_pending(&self) -> Option<Permit> {
        self.take(What::Pending, self.limits.max_pending)
    }

    /// One more request in flight (`max_requests`).
    pub fn try_request(&self) -> Option<Permit> {
        // A retry budget is a share of the requests in flight, so they have to be counted.
        if self.limits.retry_budget.is_some() {
            return self.count(What::Request, self.limits.max_requests);
        }
        self.take(What::Request, self.limits.max_requests)
    }

    /// One more retry in flight (`max_retries`, or the retry budget where there is one).
    pub fn try_retry(&self) -> Option<Permit> {
        let limit = match self.limits.retry_budget {
            Some((percent, least)) => {
                let requests = self.usage.now(What::Request);
                ((f64::from(requests) * percent / 100.0) as u32).max(least)
            }
            None => self.limits.max_retries,
        };
        self.take(What::Retry, limit)
    }

    /// What has no limit is not counted: the counters' cache line is shared by all workers.
    fn take(&self, what: What, limit: u32) -> Option<Permit> {
        if limit == u32::MAX { Some(Permit(None)) } else { self.count(what, limit) }
    }

    fn count(&self, what: What, limit: u32) -> Option<Permit> {
        let gauge = self.usage.gauge(what);
        let more = |used: u32| (used < limit).then(|| used + 1);
        if gauge.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            gauge.overflowed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit(Some((self.usage.clone(), what))))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((usage, what)) = &self.0 {
            usage.gauge(*what).now.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNLIMITED: CircuitBreakers = CircuitBreakers {
        max_connections: u32::MAX,
        max_pending: u32::MAX,
        max_requests: u32::MAX,
        max_retries: u32::MAX,
        retry_budget: None,
    };

    #[test]
    fn a_limit_holds_until_something_ends() {
        let breakers = Breakers::new(Arc::default(), CircuitBreakers { max_requests: 2, ..UNLIMITED });
        let (first, _second) = (breakers.try_request().unwrap(), breakers.try_request().unwrap());
        assert!(breakers.try_request().is_none());
        assert_eq!((breakers.usage.now(What::Request), breakers.usage.overflowed(What::Request)), (2, 1));
        drop(first);
        assert!(breakers.try_request().is_some());
        assert!((0..100).all(|_| breakers.try_connection().is_some()));
    }

    #[test]
    fn zero_allows_nothing() {
        let breakers = Breakers::new(Arc::default(), CircuitBreakers { max_retries: 0, ..UNLIMITED });
        assert!(breakers.try_retry().is_none());
    }

    #[test]
    fn a_retry_budget_grows_with_the_requests() {
        let limits = CircuitBreakers { retry_budget: Some((20.0, 1)), ..UNLIMITED };
        let breakers = Breakers::new(Arc::default(), limits);
        let _first = breakers.try_retry().unwrap();
        assert!(breakers.try_retry().is_none());
        let _requests: Vec<_> = (0..10).map(|_| breakers.try_request().unwrap()).collect();
        assert!(breakers.try_retry().is_some());
    }
}
