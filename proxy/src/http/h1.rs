//! HTTP/1 connections from callers.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::LocalKey;
use std::time::Duration;

use mesh_http::h1::{self, Limits, ResponseTo};
use mesh_http::{BodyLength, Fields, RequestHead, ResponseHead, Version};
use mesh_runtime::Drain;
use tokio::time::Instant;

use super::body::{BodyIn, BodyOut, Broken, Piece};
use super::caller::Caller;
use super::exchange::{self, Call};
use super::lent::Lent;
use super::live::Live;
use super::room::{Built, Guest, Room, Shelf, Stay};
use super::timer::{Timer, earlier};
use super::wire::Wire;
use crate::conn::ConnInfo;
use crate::fault::{Cause, Fault, Step};
use crate::model::{HttpConnection, ListenerKind};
use crate::worker::Worker;

/// After the last response the peer's bytes are read for so long, so that it reads ours before it sees a reset.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes read while lingering.
const LINGER_BYTES: u64 = 256 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve(worker: &Rc<Worker>, conn: &Rc<ConnInfo>, mut live: Live, wire: Box<Wire>) {
    let Some(mut http) = live.newest(worker, conn) else { return };
    // Outbound connections are the application's own: they stay as they are while it lives (P05).
    let heeded = (conn.kind != ListenerKind::Outbound).then(|| worker.drain.clone());
    let mut server = Box::new(Server::new(*wire, &http, heeded));
    let mut timer = Timer::default();
    let mut quiet = Instant::now();
    // Until then callers that have not heard that we go are served, and told.
    let mut drained = pin!(worker.drain.closing());
    loop {
        let mut wait = Wait::begin(&http, quiet);
        // Taken anew for each: a connection that waits holds none.
        let mut head = None;
        let next = poll_fn(|cx| server.poll_request(cx, &mut head, &mut timer, &mut wait, drained.as_mut())).await;
        let head = head.unwrap_or_default();
        match next {
            Next::Request => {
                let Some(newest) = live.newest(worker, conn) else { break };
                http = newest;
                let (worker, conn, http) = (worker.clone(), conn.clone(), http.clone());
                let exchange = Exchange { worker, conn, http, head, back: Back { server, timer, quiet } };
                Back { server, timer, quiet } = Stay::of(exchange).await;
            }
            Next::Refused(fault) => {
                let call = Call { worker, conn, http: &http };
                Box::pin(exchange::refuse(&call, &head, &mut *server, fault)).await;
            }
            Next::End => return Box::pin(server.end()).await,
        }
        if !server.can_go_on() {
            break;
        }
    }
    Box::pin(server.close()).await;
}

/// A request of a connection, which is with it until it is answered.
struct Exchange {
    worker: Rc<Worker>,
    conn: Rc<ConnInfo>,
    http: Arc<HttpConnection>,
    head: Lent<RequestHead>,
    back: Back,
}

/// What a connection gets back.
struct Back {
    server: Box<Server>,
    timer: Timer,
    /// Since when nothing is exchanged.
    quiet: Instant,
}

thread_local! {
    static ROOMS: Shelf<Exchange> = const { RefCell::new(Vec::new()) };
}

impl Guest for Exchange {
    type Back = Back;

    fn shelf() -> &'static LocalKey<Shelf<Self>> {
        &ROOMS
    }

    fn build() -> Box<dyn Room<Self>> {
        Box::new(Built::new(async |mut exchange: Self| {
            let Back { server, timer, quiet } = &mut exchange.back;
            let call = Call { worker: &exchange.worker, conn: &exchange.conn, http: &exchange.http };
            *quiet = exchange::run(&call, &mut exchange.head, &mut **server, timer).await;
            exchange.back
        }))
    }
}

/// What a connection does next.
enum Next {
    Request,
    Refused(Fault),
    End,
}

/// What bounds the wait for a request.
struct Wait {
    idle: Option<Instant>,
    head: Option<Duration>,
    head_deadline: Option<Instant>,
}

impl Wait {
    fn begin(http: &HttpConnection, quiet: Instant) -> Self {
        Self {
            idle: http.idle_timeout.map(|timeout| quiet + timeout),
            head: http.request_headers_timeout,
            head_deadline: None,
        }
    }
}

/// Our side of a caller's connection.
pub(crate) struct Server {
    wire: Wire,
    body_in: BodyIn,
    body_out: BodyOut,
    to: ResponseTo,
    limits: Limits,
    http10: bool,
    /// The caller waits for a word before it sends the body.
    expects_continue: bool,
    keeps_alive: bool,
    /// Once it has begun, answers tell the caller to go elsewhere.
    drain: Option<Drain>,
    /// Its beginning wakes us.
    hears_drain: bool,
    /// The response was sent to its end.
    sent_all: bool,
    tunnel: bool,
}

impl Server {
    fn new(wire: Wire, http: &HttpConnection, drain: Option<Drain>) -> Self {
        Self {
            wire,
            body_in: BodyIn::default(),
            body_out: BodyOut::default(),
            to: ResponseTo::default(),
            limits: Limits { max_head: http.max_head, ..Limits::default() },
            http10: http.http10,
            expects_continue: false,
            keeps_alive: true,
            drain,
            hears_drain: false,
            sent_all: true,
            tunnel: false,
        }
    }

    /// The next request, a refusal of what came instead, or the end.
    fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut Option<Lent<RequestHead>>,
        timer: &mut Timer,
        wait: &mut Wait,
        drained: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<Next> {
        loop {
            if !self.wire.input.is_empty() {
                let head = head.get_or_insert_with(Lent::new);
                match h1::parse_request(self.wire.input.unread(), &self.limits, head) {
                    Ok(Some(taken)) => {
                        self.wire.input.consume(taken);
                        return Poll::Ready(self.begin(head));
                    }
                    Ok(None) => {}
                    Err(refused) => return Poll::Ready(self.refuse(Cause::Malformed(refused.status), refused.reason)),
                }
                wait.head_deadline = wait.head_deadline.or_else(|| wait.head.map(|limit| Instant::now() + limit));
            }
            match self.wire.poll_fill(cx, self.limits.max_head) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::End),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
        }
        self.wire.output.rest();
        let waits_idle = self.wire.input.is_empty();
        if waits_idle && self.heeds_news() && drained.poll(cx).is_ready() {
            return Poll::Ready(Next::End);
        }
        let deadline = if waits_idle { wait.idle } else { earlier(wait.head_deadline, wait.idle) };
        ready!(timer.poll(cx, deadline));
        Poll::Ready(if waits_idle { Next::End } else { self.refuse(Cause::HeadTimeout, "") })
    }

    /// True if the drain is to be asked how far it is, which locks what all threads share: once, so that it wakes us, and
    /// again when it has begun.
    fn heeds_news(&mut self) -> bool {
        let Some(drain) = &self.drain else { return false };
        !std::mem::replace(&mut self.hears_drain, true) || drain.has_begun()
    }

    fn begin(&mut self, head: &RequestHead) -> Next {
        self.to = ResponseTo::of(head);
        self.body_in.restart(head.body);
        self.body_out.restart(BodyLength::Empty);
        self.expects_continue = head.expect_continue;
        self.keeps_alive = head.keep_alive;
        self.sent_all = false;
        if head.version == Version::Http10 && !self.http10 {
            return self.refuse(Cause::Malformed(426), "http1.unsupported_version");
        }
        Next::Request
    }

    fn refuse(&mut self, cause: Cause, reason: &'static str) -> Next {
        self.keeps_alive = false;
        self.sent_all = false;
        Next::Refused(Fault::new(cause, Step::Read).because(reason))
    }

    /// True if another request can follow on this connection.
    fn can_go_on(&self) -> bool {
        self.keeps_alive && self.sent_all && !self.tunnel && self.body_in.is_done() && !self.wire.has_ended()
            || self.has_pipelined()
    }

    /// A caller that sent several requests and then said that it sends no more still gets all its answers.
    fn has_pipelined(&self) -> bool {
        let whole = self.keeps_alive && self.sent_all && !self.tunnel && self.body_in.is_done();
        whole && !self.wire.input.is_empty()
    }

    /// Ends a connection that carries nothing. Nothing more is read: a request that was on its way is answered by a reset,
    /// which tells its sender that nobody has read it.
    async fn end(&mut self) {
        let _ = tokio::time::timeout(LINGER, poll_fn(|cx| self.wire.poll_shutdown(cx))).await;
    }

    /// Writes what is left, says that nothing more comes, and reads on for a while (RFC 9112, section 9.6).
    async fn close(&mut self) {
        let linger = async {
            if poll_fn(|cx| self.wire.poll_shutdown(cx)).await.is_err() {
                return;
            }
            let most = self.wire.bytes_in + LINGER_BYTES;
            while !self.wire.has_ended() && self.wire.bytes_in < most {
                self.wire.input.consume(usize::MAX);
                if poll_fn(|cx| self.wire.poll_fill(cx, 1)).await.is_err() {
                    return;
                }
            }
        };
        // A peer that does not close in time is left to the kernel.
        let _ = tokio::time::timeout(LINGER, linger).await;
    }
}

impl Caller for Server {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, Fault>> {
        if self.expects_continue && !self.body_in.is_done() {
            self.expects_continue = false;
            if self.wire.input.is_empty() {
                self.wire.output.tail().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                if let Poll::Ready(Err(error)) = self.wire.poll_flush(cx) {
                    return Poll::Ready(Err(gone(&error)));
                }
            }
        }
        self.body_in.poll(&mut self.wire, cx).map_err(|broken| match broken {
            Broken::Grammar(refused) => {
                self.keeps_alive = false;
                Fault::after_sending(Cause::DownstreamProtocol, Step::Read).because(refused.reason)
            }
            Broken::Closed => Fault::after_sending(Cause::DownstreamClosed, Step::Read),
            Broken::Io(error) => gone(&error),
        })
    }

    fn consume(&mut self, count: usize) {
        self.body_in.consume(&mut self.wire, count);
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        // More requests may be waiting already: then nothing is read before their turn.
        if !self.wire.input.is_empty() || self.wire.has_ended() || !self.body_in.is_done() {
            return Poll::Pending;
        }
        match ready!(self.wire.poll_fill(cx, 1)) {
            Err(error) => Poll::Ready(gone(&error)),
            Ok(_) => Poll::Pending,
        }
    }

    fn send_interim(&mut self, head: &ResponseHead) {
        if self.to.version != Version::Http10 {
            self.expects_continue &= head.status != 100;
            h1::write_response(head, self.to, BodyLength::Empty, true, self.wire.output.tail());
        }
    }

    fn send_head(&mut self, head: &ResponseHead, body: BodyLength) {
        let chunks = self.to.version != Version::Http10;
        let body = match body {
            BodyLength::Stream | BodyLength::UntilClose if chunks => BodyLength::Stream,
            BodyLength::Stream | BodyLength::UntilClose => BodyLength::UntilClose,
            known => known,
        };
        // Said and not only done: a caller that was not told sends its next request into a connection that ends.
        self.keeps_alive &= !self.drain.as_ref().is_some_and(Drain::has_begun);
        // A body that was not asked for yet will not come, or comes late: the next request could not be told from it.
        self.keeps_alive &= !self.expects_continue && body != BodyLength::UntilClose;
        self.body_out.restart(if self.to.head { BodyLength::Empty } else { body });
        h1::write_response(head, self.to, body, self.keeps_alive, self.wire.output.tail());
    }

    fn send_data(&mut self, data: &[u8]) {
        self.body_out.write(data, self.wire.output.tail());
    }

    fn send_end(&mut self, trailers: Option<&Fields>) {
        self.keeps_alive &= self.body_out.finish(trailers, self.wire.output.tail());
        self.sent_all = true;
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.wire.poll_room(cx).map_err(|error| gone(&error))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let flushed = if self.tunnel && self.sent_all { self.wire.poll_shutdown(cx) } else { self.wire.poll_flush(cx) };
        flushed.map_err(|error| gone(&error))
    }

    fn become_tunnel(&mut self) {
        self.tunnel = true;
        self.sent_all = false;
        self.body_in.restart(BodyLength::UntilClose);
        self.body_out.restart(BodyLength::UntilClose);
    }

    fn abort(&mut self) {
        self.keeps_alive = false;
        self.sent_all = false;
    }

    fn body_bytes(&self) -> (u64, u64) {
        (self.body_in.bytes, self.body_out.bytes)
    }
}

fn gone(error: &io::Error) -> Fault {
    Fault::after_sending(Cause::DownstreamClosed, Step::Respond).because(error.to_string())
}
