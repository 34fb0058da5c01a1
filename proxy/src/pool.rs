//! Connections to endpoints, kept for the next request. Each worker has its own; they hang on the endpoint's host, so that
//! finding one costs no look-up and an endpoint that goes takes its idle connections along.

pub(crate) mod h1;
pub(crate) mod h2;
mod version;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::conn::ConnInfo;
use crate::connect::{Use, connect};
use crate::fault::{Cause, Fault, Step};
use crate::http::link::Link;
use crate::model::{Cluster, Snapshot};
use crate::upstream::{Breakers, Permit, Pick};
use crate::worker::Worker;

/// So many idle connections are kept an endpoint and worker.
const MOST_IDLE: usize = 512;

/// The connections to one endpoint.
#[derive(Default)]
pub struct HostPool {
    idle: RefCell<Vec<Idle>>,
    links: RefCell<Vec<Shared>>,
    /// Told to the admin interface.
    opened: Cell<u64>,
    /// Open connections, idle or not.
    open: Rc<Open>,
}

/// How many connections are open, and who waits for one.
#[derive(Debug, Default)]
struct Open {
    count: Cell<usize>,
    /// HTTP/2 connections that are being opened.
    opening: Cell<usize>,
    freed: Notify,
}

/// An HTTP/2 connection is being opened.
struct Opening(Rc<Open>);

impl Open {
    fn opening(self: &Rc<Self>) -> Opening {
        self.opening.set(self.opening.get() + 1);
        Opening(self.clone())
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.set(self.0.opening.get() - 1);
        self.0.freed.notify_waiters();
    }
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

/// A connection, or a stream of one, that carries one request.
pub(crate) enum Client {
    Http1(Box<h1::Client>),
    Http2(Box<h2::Client>),
}

/// A connection to the chosen endpoint: one that is there or, within the cluster's limits, a new one.
///
/// # Errors
/// [`Cause::Overflow`] if too many wait already, and what [`connect`] says.
pub(crate) async fn client(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    conn: &ConnInfo,
    pick: &Pick,
    http2: bool,
) -> Result<Client, Fault> {
    let (pool, config) = (pick.host.pool(), &pick.upstream().config);
    if let Some(client) = pool.ready(http2, config) {
        return Ok(client);
    }
    let overflow = || Fault::new(Cause::Overflow, Step::Connect).because("too many wait (max_pending_requests)");
    let _pending = pick.upstream().breakers().try_pending().ok_or_else(overflow)?;
    let slot = loop {
        if let Some(slot) = pool.slot(pick.upstream().breakers(), http2) {
            break slot;
        }
        pool.open.freed.notified().await;
        if let Some(client) = pool.ready(http2, config) {
            return Ok(client);
        }
    };
    let opening = http2.then(|| pool.open.opening());
    pool.count_opened();
    let carries = if http2 { Use::Http2 } else { Use::Http1 };
    let stream = connect(worker, snapshot, config, pick.endpoint(), carries, conn).await?;
    drop(opening);
    if !http2 {
        return Ok(Client::Http1(Box::new(h1::Client::new(stream, slot))));
    }
    let link = h2::begin(stream, slot, config.http.idle_timeout);
    pool.links.borrow_mut().push(Shared { link: link.clone(), requests: Cell::new(1) });
    pool.open.freed.notify_waiters();
    Ok(Client::Http2(Box::new(h2::Client::new(link))))
}

/// An HTTP/2 connection that requests share.
struct Shared {
    link: Rc<Link>,
    /// Requests that it was given.
    requests: Cell<u32>,
}

struct Idle {
    client: Box<h1::Client>,
    since: Instant,
    timeout: Option<Duration>,
}

impl HostPool {
    /// A connection that can take a request at once.
    fn ready(&self, http2: bool, config: &Cluster) -> Option<Client> {
        if http2 { self.share(config).map(Client::Http2) } else { self.take().map(Client::Http1) }
    }

    /// An HTTP/2 connection that takes one more stream.
    fn share(&self, config: &Cluster) -> Option<Box<h2::Client>> {
        let (streams, requests) = (config.http.max_concurrent_streams, config.http.max_requests_per_connection);
        let mut links = self.links.borrow_mut();
        links.retain(|shared| !shared.link.is_closing());
        let shared = links.iter().find(|shared| shared.link.can_open(streams))?;
        shared.requests.set(shared.requests.get() + 1);
        let client = Box::new(h2::Client::new(shared.link.clone()));
        if requests > 0 && shared.requests.get() >= requests {
            links.retain(|shared| !Rc::ptr_eq(&shared.link, client.link()));
        }
        Some(client)
    }

    /// Leave to open a connection.
    fn slot(&self, breakers: &Breakers, http2: bool) -> Option<Slot> {
        // One HTTP/2 connection at a time: most likely it is enough.
        if http2 && self.open.opening.get() > 0 {
            return None;
        }
        if let Some(permit) = breakers.try_connection() {
            return Some(Slot::new(&self.open, Some(permit)));
        }
        // An endpoint without any connection may always have one, as in Envoy: else it would never get its turn.
        (self.open.count.get() == 0).then(|| Slot::new(&self.open, None))
    }

    /// The connection that was used last and is still good.
    fn take(&self) -> Option<Box<h1::Client>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut last) = idle.pop() {
            if last.is_good() {
                return Some(last.client);
            }
        }
        None
    }

    /// Keeps a connection that has done its work.
    fn keep(&self, client: Box<h1::Client>, timeout: Option<Duration>) {
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

    /// True if no connection is kept here but HTTP/2's that nobody uses.
    pub fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty() && self.links.borrow().iter().all(|shared| shared.link.is_empty())
    }

    /// Closes what was closed at the other end, and what was idle for too long.
    pub(crate) fn tidy(&self) {
        self.idle.borrow_mut().retain_mut(Idle::is_good);
        self.links.borrow_mut().retain(|shared| !shared.link.is_closing());
    }
}

impl Drop for HostPool {
    fn drop(&mut self) {
        self.links.borrow().iter().for_each(|shared| shared.link.retire());
    }
}

impl Idle {
    fn is_good(&mut self) -> bool {
        let expired = self.timeout.is_some_and(|timeout| self.since.elapsed() >= timeout);
        !expired && self.client.is_quiet(&mut Context::from_waker(Waker::noop()))
    }
}
