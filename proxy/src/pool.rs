//! Connections to endpoints, kept for the next request. Each worker has its own; they hang on the endpoint's host, so that
//! finding one costs no look-up and an endpoint that goes takes its idle connections along.

pub(crate) mod h1;

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::Instant;

use h1::Client;

/// So many idle connections are kept an endpoint and worker.
const MOST_IDLE: usize = 512;

/// The connections to one endpoint.
#[derive(Default)]
pub struct HostPool {
    idle: RefCell<Vec<Idle>>,
    /// Told to the admin interface.
    opened: Cell<u64>,
}

struct Idle {
    client: Box<Client>,
    since: Instant,
    timeout: Option<Duration>,
}

impl HostPool {
    /// The connection that was used last and is still good.
    pub(crate) fn take(&self) -> Option<Box<Client>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut last) = idle.pop() {
            if last.is_good() {
                return Some(last.client);
            }
        }
        None
    }

    /// Keeps a connection that has done its work.
    pub(crate) fn keep(&self, client: Box<Client>, timeout: Option<Duration>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MOST_IDLE {
            idle.push(Idle { client, since: Instant::now(), timeout });
        }
    }

    /// Counts a connection that was opened.
    pub(crate) fn count_opened(&self) {
        self.opened.set(self.opened.get() + 1);
    }

    /// Connections opened so far.
    pub fn opened(&self) -> u64 {
        self.opened.get()
    }

    /// True if no connection is idle here.
    pub fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty()
    }

    /// Closes what was closed at the other end, and what was idle for too long.
    pub(crate) fn tidy(&self) {
        self.idle.borrow_mut().retain_mut(Idle::is_good);
    }
}

impl Idle {
    fn is_good(&mut self) -> bool {
        let expired = self.timeout.is_some_and(|timeout| self.since.elapsed() >= timeout);
        !expired && self.client.is_quiet(&mut Context::from_waker(Waker::noop()))
    }
}
