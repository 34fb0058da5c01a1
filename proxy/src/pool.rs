//! Connections to endpoints, kept for the next request. Each worker has its own; they hang on the endpoint's host, so that
//! finding one costs no look-up and an endpoint that goes takes its idle connections along.

pub(crate) mod h1;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::conn::ConnInfo;
use crate::connect::{Use, connect};
use crate::fault::{Cause, Fault, Step};
use crate::model::Snapshot;
use crate::upstream::{Permit, Pick};
use crate::worker::Worker;

use h1::Client;

/// So many idle connections are kept an endpoint and worker.
const MOST_IDLE: usize = 512;

/// The connections to one endpoint.
#[derive(Default)]
pub struct HostPool {
    idle: RefCell<Vec<Idle>>,
    /// Told to the admin interface.
    opened: Cell<u64>,
    /// Open connections, idle or not.
    open: Rc<Open>,
}

/// How many connections are open, and who waits for one.
#[derive(Debug, Default)]
struct Open {
    count: Cell<usize>,
    freed: Notify,
}

/// One open connection, within the cluster's limit.
#[derive(Debug)]
pub(crate) struct Slot {
    open: Rc<Open>,
    _permit: Option<Permit>,
}

impl Slot {
    fn new(open: &Rc<Open>, permit: Option<Permit>) -> Self {
        open.count.set(open.count.get() + 1);
        Self { open: open.clone(), _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.count.set(self.open.count.get() - 1);
        self.open.freed.notify_one();
    }
}

/// A connection to the chosen endpoint when none is idle: opens one or, at the cluster's limit, waits for one.
///
/// # Errors
/// [`Cause::Overflow`] if too many wait already, and what [`connect`] says.
pub(crate) async fn wait(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    conn: &ConnInfo,
    pick: &Pick,
) -> Result<Box<Client>, Fault> {
    let (pool, breakers) = (pick.host.pool(), pick.upstream().breakers());
    let overflow = || Fault::new(Cause::Overflow, Step::Connect).because("too many wait (max_pending_requests)");
    let _pending = breakers.try_pending().ok_or_else(overflow)?;
    let slot = loop {
        if let Some(permit) = breakers.try_connection() {
            break Slot::new(&pool.open, Some(permit));
        }
        // An endpoint without any connection may always have one, as in Envoy: else it would never get its turn.
        if pool.open.count.get() == 0 {
            break Slot::new(&pool.open, None);
        }
        pool.open.freed.notified().await;
        if let Some(client) = pool.take() {
            return Ok(client);
        }
    };
    pool.count_opened();
    let stream = connect(worker, snapshot, &pick.upstream().config, pick.endpoint(), Use::Http1, conn).await?;
    Ok(Box::new(Client::new(stream, slot)))
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
            self.open.freed.notify_one();
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
