//! Connections to endpoints, kept for the next request. Each worker has its own; they hang on the endpoint's host, so that
//! finding one costs no look-up and an endpoint that goes takes its idle connections along.

pub(crate) mod carrier;
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
/// What was learnt of an endpoint's patience is believed for so long.
const BELIEVED: Duration = Duration::from_secs(60);

/// The connections to one endpoint.
#[derive(Default)]
pub struct HostPool {
    idle: RefCell<Vec<Idle>>,
    patience: Cell<Patience>,
    links: RefCell<Vec<Shared>>,
    carriers: RefCell<Vec<carrier::Idle>>,
    /// Told to the admin interface.
    opened: Cell<u64>,
    /// Open connections, idle or not.
    open: Rc<Open>,
}

/// Which of the connections that are there a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// Whichever is open.
    Any,
    /// None that the endpoint may be about to close: the request cannot be sent again if it does (P08).
    Young,
    /// None.
    Never,
}

/// For how long an endpoint was seen to leave idle connections open, and when.
#[derive(Clone, Copy, Debug, Default)]
struct Patience(Option<(Duration, Instant)>);

impl Patience {
    /// It had closed a connection that was idle for so long.
    fn ended(&mut self, after: Duration, now: Instant) {
        let shortest = self.shortest(now).map_or(after, |known| known.min(after));
        self.0 = Some((shortest, now));
    }

    fn shortest(self, now: Instant) -> Option<Duration> {
        self.0.filter(|(_, seen)| now - *seen < BELIEVED).map(|(shortest, _)| shortest)
    }

    /// True if a connection that is idle for so long will stay open for a while.
    fn allows(self, idle: Duration, now: Instant) -> bool {
        self.shortest(now).is_none_or(|shortest| idle < shortest / 2)
    }
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

/// A connection to the chosen endpoint that is there and may be used at once.
pub(crate) fn ready(pick: &Pick, http2: bool, reuse: Reuse) -> Option<Client> {
    pick.host.pool().ready(http2, reuse, &pick.upstream().config)
}

/// A connection to the chosen endpoint: one that is there and may be used, or, within the cluster's limits, a new one.
///
/// # Errors
/// [`Cause::Overflow`] if too many wait already, and what [`connect`] says.
pub(crate) async fn client(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    conn: &ConnInfo,
    pick: &Pick,
    http2: bool,
    reuse: Reuse,
) -> Result<Client, Fault> {
    if let Some(client) = ready(pick, http2, reuse) {
        return Ok(client);
    }
    let (pool, config) = (pick.host.pool(), &pick.upstream().config);
    let overflow = || Fault::new(Cause::Overflow, Step::Connect).because("too many wait (max_pending_requests)");
    let _pending = pick.upstream().breakers().try_pending().ok_or_else(overflow)?;
    let slot = loop {
        if let Some(slot) = pool.slot(pick.upstream().breakers(), http2 && config.requests_per_connection() != 1) {
            break slot;
        }
        pool.open.freed.notified().await;
        if let Some(client) = pool.ready(http2, reuse, config) {
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
    pool.links.borrow_mut().push(Shared { link: link.clone(), requests: 0 });
    pool.open.freed.notify_waiters();
    Ok(Client::Http2(pool.client_of(&link, config)))
}

/// An HTTP/2 connection that requests share.
struct Shared {
    link: Rc<Link>,
    /// Requests that it was given.
    requests: u32,
}

struct Idle {
    client: Box<h1::Client>,
    since: Instant,
    timeout: Option<Duration>,
}

impl HostPool {
    /// A connection that can take a request at once.
    fn ready(&self, http2: bool, reuse: Reuse, config: &Cluster) -> Option<Client> {
        if http2 { self.share(config).map(Client::Http2) } else { self.take(reuse).map(Client::Http1) }
    }

    /// An HTTP/2 connection that takes one more stream.
    fn share(&self, config: &Cluster) -> Option<Box<h2::Client>> {
        let mut links = self.links.borrow_mut();
        links.retain(|shared| !shared.link.is_closing());
        let free = links.iter().find(|shared| shared.link.can_open(config.http.max_concurrent_streams));
        let link = free?.link.clone();
        drop(links);
        Some(self.client_of(&link, config))
    }

    /// One more request on a connection that is shared. With the last that it may carry it leaves the pool.
    fn client_of(&self, link: &Rc<Link>, config: &Cluster) -> Box<h2::Client> {
        let (mut links, most) = (self.links.borrow_mut(), config.requests_per_connection());
        let mut is_last = false;
        if let Some(at) = links.iter().position(|shared| Rc::ptr_eq(&shared.link, link)) {
            links[at].requests += 1;
            is_last = most > 0 && links[at].requests >= most;
            if is_last {
                links.remove(at);
            }
        }
        Box::new(h2::Client::new(link.clone(), is_last))
    }

    /// Leave to open a connection, which others may wait for as well if it is `shared`.
    fn slot(&self, breakers: &Breakers, shared: bool) -> Option<Slot> {
        // One at a time: most likely it is enough for all.
        if shared && self.open.opening.get() > 0 {
            return None;
        }
        if let Some(permit) = breakers.try_connection() {
            return Some(Slot::new(&self.open, Some(permit)));
        }
        // An endpoint without any connection may always have one, as in Envoy: else it would never get its turn.
        (self.open.count.get() == 0).then(|| Slot::new(&self.open, None))
    }

    /// The connection that was used last and is still good.
    fn take(&self, reuse: Reuse) -> Option<Box<h1::Client>> {
        let (mut idle, now) = (self.idle.borrow_mut(), Instant::now());
        while reuse != Reuse::Never
            && let Some(mut last) = idle.pop()
        {
            if !last.is_good(now, &self.patience) {
                continue;
            }
            if reuse == Reuse::Young && !self.patience.get().allows(now - last.since, now) {
                // The others are older.
                idle.push(last);
                return None;
            }
            return Some(last.client);
        }
        None
    }

    /// Keeps a connection that has done its work, at this time.
    fn keep(&self, client: Box<h1::Client>, timeout: Option<Duration>, since: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MOST_IDLE {
            idle.push(Idle { client, since, timeout });
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
        let kept = self.idle.borrow().len() + self.carriers.borrow().len();
        kept == 0 && self.links.borrow().iter().all(|shared| shared.link.is_empty())
    }

    /// Closes what was closed at the other end, and what was idle for too long.
    pub(crate) fn tidy(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().retain_mut(|idle| idle.is_good(now, &self.patience));
        self.links.borrow_mut().retain(|shared| !shared.link.is_closing());
        self.tidy_carriers();
    }
}

impl Drop for HostPool {
    fn drop(&mut self) {
        self.links.borrow().iter().for_each(|shared| shared.link.retire());
    }
}

impl Idle {
    /// Whether it can carry a request. What the endpoint has closed tells of its patience.
    fn is_good(&mut self, now: Instant, patience: &Cell<Patience>) -> bool {
        let age = now - self.since;
        if self.timeout.is_some_and(|timeout| age >= timeout) {
            return false;
        }
        let quiet = self.client.is_quiet(&mut Context::from_waker(Waker::noop()));
        if !quiet {
            let mut learnt = patience.get();
            learnt.ended(age, now);
            patience.set(learnt);
        }
        quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;
    use tokio::net::{TcpListener, TcpStream};

    async fn keep(pool: &HostPool, listener: &TcpListener, idle: Duration) -> TcpStream {
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let slot = Slot::new(&pool.open, None);
        pool.keep(Box::new(h1::Client::new(Stream::plain(socket), slot)), None, Instant::now() - idle);
        listener.accept().await.unwrap().0
    }

    #[tokio::test]
    async fn what_cannot_be_repeated_goes_on_no_connection_that_may_be_closed_just_now() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = HostPool::default();
        let second = Duration::from_secs(1);
        let _open = keep(&pool, &listener, 30 * second).await;
        assert!(pool.take(Reuse::Young).is_some(), "nothing is known of the endpoint's patience");

        let closed = keep(&pool, &listener, 10 * second).await;
        drop(closed);
        // The end is there once the kernel says so.
        while pool.idle.borrow_mut()[0].client.is_quiet(&mut Context::from_waker(Waker::noop())) {
            tokio::task::yield_now().await;
        }
        assert!(pool.take(Reuse::Young).is_none());

        let _old = keep(&pool, &listener, 6 * second).await;
        assert!(pool.take(Reuse::Young).is_none());
        assert!(pool.take(Reuse::Never).is_none());
        assert!(pool.take(Reuse::Any).is_some());
        let _young = keep(&pool, &listener, 4 * second).await;
        assert!(pool.take(Reuse::Young).is_some());
    }

    #[test]
    fn patience_is_forgotten_after_a_while() {
        let mut patience = Patience::default();
        let now = Instant::now();
        patience.ended(Duration::from_secs(10), now);
        patience.ended(Duration::from_secs(20), now);
        assert!(patience.allows(Duration::from_secs(4), now));
        assert!(!patience.allows(Duration::from_secs(6), now));
        assert!(patience.allows(Duration::from_secs(6), now + BELIEVED));
    }
}
