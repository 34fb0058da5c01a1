//! HTTP/2 connections from callers. All exchanges of a connection run in its task, so that one turn answers many and
//! writes once.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::LocalKey;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use mesh_http::h2::{Code, Limits, ResetBy, Role};
use mesh_http::{BodyLength, Fields, ResponseHead};
use tokio::time::Instant;

use super::body::Piece;
use super::caller::Caller;
use super::exchange::{self, Call};
use super::lane::{Line, Lost};
use super::link::{Arrived, Link};
use super::live::Live;
use super::room::{Built, Guest, Room, Shelf, Stay};
use super::timer::Timer;
use super::wire::Wire;
use crate::conn::ConnInfo;
use crate::fault::{Cause, Fault, Step};
use crate::model::{HttpConnection, ListenerKind};
use crate::worker::Worker;

/// A peer that does not take our last words in so long has none.
const FAREWELL: Duration = Duration::from_secs(1);
/// So many timers of exchanges that have ended wait for others.
const SPARE_TIMERS: usize = 8;

/// Serves a connection to its end.
pub(super) async fn serve(worker: &Rc<Worker>, conn: &Rc<ConnInfo>, mut live: Live, wire: Wire) {
    let Some(mut http) = live.newest(worker, conn) else { return };
    let limits = Limits { max_head: http.max_head, ..Limits::default() };
    let link = Link::new(Role::Server, limits, wire);
    let mut exchanges = FuturesUnordered::new();
    let mut timers = Vec::new();
    let mut timer = Timer::default();
    let mut idle_since = Some(Instant::now());
    let mut drained = pin!(worker.drain.begun());
    // Outbound connections are the application's own: they stay open while it lives (P05).
    let mut heeds_drain = conn.kind != ListenerKind::Outbound;
    // Its beginning wakes us once it was asked.
    let mut hears_drain = false;
    poll_fn(|cx| {
        let read = link.poll_read(cx);
        while let Some(arrived) = link.next_request() {
            match live.newest(worker, conn) {
                Some(newest) => http = newest,
                None => {
                    link.refuse(Code::NoError, "a policy forbids this connection now");
                    break;
                }
            }
            let (worker, conn, http, link) = (worker.clone(), conn.clone(), http.clone(), link.clone());
            let timer = timers.pop().unwrap_or_default();
            exchanges.push(Stay::of(Exchange { worker, conn, http, link, arrived, timer }));
        }
        while let Poll::Ready(Some(timer)) = exchanges.poll_next_unpin(cx) {
            if timers.len() < SPARE_TIMERS {
                timers.push(timer);
            }
        }
        let news = heeds_drain && (!std::mem::replace(&mut hears_drain, true) || worker.drain.has_begun());
        if news && drained.as_mut().poll(cx).is_ready() {
            heeds_drain = false;
            link.announce_end();
        }
        let written = link.poll_write(cx);
        if read.is_ready() || link.is_done() && written.is_ready() {
            return Poll::Ready(());
        }
        idle_since = if exchanges.is_empty() { idle_since.or_else(|| Some(Instant::now())) } else { None };
        let deadline = idle_since.zip(http.idle_timeout).map(|(since, timeout)| since + timeout);
        timer.poll(cx, deadline)
    })
    .await;
    // Exchanges of a connection that is gone find that out by themselves, and are recorded.
    if !exchanges.is_empty() {
        link.refuse(Code::NoError, "");
        while exchanges.next().await.is_some() {}
    } else if !link.is_done() {
        link.refuse(Code::NoError, "idle");
    }
    let _ = tokio::time::timeout(FAREWELL, poll_fn(|cx| link.poll_shutdown(cx))).await;
}

/// One request of a connection. What goes back is its timer: to set one anew for each costs more than to let it run.
struct Exchange {
    worker: Rc<Worker>,
    conn: Rc<ConnInfo>,
    http: Arc<HttpConnection>,
    link: Rc<Link>,
    arrived: Arrived,
    timer: Timer,
}

impl Exchange {
    /// Works on its parts where they are: what is moved here is kept twice.
    async fn run(mut self) -> Timer {
        let Self { worker, conn, http, link, arrived, timer } = &mut self;
        let Arrived { id, head, too_large, end } = arrived;
        let call = Call { worker, conn, http };
        let mut caller = Downstream { line: Line::of_request(link, *id, head, *end) };
        if *too_large {
            let fault = Fault::new(Cause::Malformed(431), Step::Read).because("http2.headers_too_large");
            Box::pin(exchange::refuse(&call, head, &mut caller, fault)).await;
        } else {
            exchange::run(&call, head, &mut caller, timer).await;
        }
        drop(caller);
        self.timer
    }
}

thread_local! {
    static ROOMS: Shelf<Exchange> = const { RefCell::new(Vec::new()) };
}

impl Guest for Exchange {
    type Back = Timer;

    fn shelf() -> &'static LocalKey<Shelf<Self>> {
        &ROOMS
    }

    fn build() -> Box<dyn Room<Self>> {
        Box::new(Built::new(Self::run))
    }
}

/// Our side of a caller's stream.
struct Downstream {
    line: Line,
}

impl Caller for Downstream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, Fault>> {
        self.line.poll_body(cx).map_err(gone)
    }

    fn consume(&mut self, count: usize) {
        self.line.consume(count);
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        self.line.poll_lost(cx).map(gone)
    }

    fn send_interim(&mut self, head: &ResponseHead) {
        self.line.send_interim(head);
    }

    fn send_head(&mut self, head: &ResponseHead, body: BodyLength) {
        self.line.respond(head, body);
    }

    fn send_data(&mut self, data: &[u8]) {
        self.line.send_data(data);
    }

    fn send_end(&mut self, trailers: Option<&Fields>) {
        self.line.send_end(trailers);
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.line.poll_room(cx).map_err(gone)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.line.poll_flush(cx).map_err(gone)
    }

    fn become_tunnel(&mut self) {
        self.line.become_tunnel();
    }

    fn abort(&mut self) {
        self.line.reset(Code::Internal);
    }

    fn body_bytes(&self) -> (u64, u64) {
        (self.line.bytes_in, self.line.bytes_out)
    }
}

fn gone(lost: Lost) -> Fault {
    let fault = |cause| Fault::after_sending(cause, Step::Read);
    match lost {
        Lost::Reset(_, ResetBy::Us(reason)) => fault(Cause::DownstreamProtocol).because(reason),
        Lost::Reset(code, ResetBy::Peer) => fault(Cause::DownstreamClosed).because(format!("reset: {code:?}")),
        Lost::Protocol(reason) => fault(Cause::DownstreamProtocol).because(reason),
        Lost::Connection(reason) => fault(Cause::DownstreamClosed).because(reason),
    }
}
