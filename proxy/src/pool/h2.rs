//! Streams of HTTP/2 connections to an endpoint, shared by all requests of a worker.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use mesh_http::h2::{Code, Limits, ResetBy, Role};
use mesh_http::{BodyLength, Fields, RequestHead, ResponseHead};
use tokio::time::Instant;

use super::Slot;
use crate::fault::{Cause, Fault, Sent, Step};
use crate::http::body::Piece;
use crate::http::lane::{Line, Lost};
use crate::http::lent::Lent;
use crate::http::link::Link;
use crate::http::timer::Timer;
use crate::http::wire::Wire;
use crate::stream::Stream;

/// Begins a connection, which runs until it is retired, broken or idle for too long.
pub(super) fn begin(stream: Stream, slot: Slot, idle_timeout: Option<Duration>) -> Rc<Link> {
    let link = Link::new(Role::Client, Limits::default(), Wire::new(stream));
    let open = slot.open.clone();
    link.on_free(move || open.freed.notify_one());
    tokio::task::spawn_local(drive(link.clone(), slot, idle_timeout));
    link
}

/// Moves the connection's bytes to its end.
async fn drive(link: Rc<Link>, _slot: Slot, idle_timeout: Option<Duration>) {
    let mut timer = Timer::default();
    let mut idle_since = None;
    poll_fn(|cx| {
        let read = link.poll_read(cx);
        let written = link.poll_write(cx);
        if read.is_ready() || link.is_done() && written.is_ready() {
            return Poll::Ready(());
        }
        idle_since = if link.is_empty() { idle_since.or_else(|| Some(Instant::now())) } else { None };
        timer.poll(cx, idle_since.zip(idle_timeout).map(|(since, timeout)| since + timeout))
    })
    .await;
    // Nothing moves its bytes any more, so that it is over for whoever still waits.
    link.refuse(Code::NoError, "idle");
    let _ = tokio::time::timeout(Duration::from_secs(1), poll_fn(|cx| link.poll_shutdown(cx))).await;
}

/// A request on a shared connection.
pub(crate) struct Client {
    link: Rc<Link>,
    line: Option<Line>,
    /// The stream could not be opened.
    refused: bool,
    answered: bool,
    /// The connection carries no request after it.
    is_last: bool,
}

impl Client {
    pub(super) fn new(link: Rc<Link>, is_last: bool) -> Self {
        Self { link, line: None, refused: false, answered: false, is_last }
    }

    pub(super) fn link(&self) -> &Rc<Link> {
        &self.link
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.answered
    }

    /// True if the server has answered on this connection, and so knows who we are.
    pub(crate) fn is_introduced(&self) -> bool {
        self.link.has_answered()
    }

    /// Begins a request.
    pub(crate) fn send_head(&mut self, head: &RequestHead, body: BodyLength) {
        self.line = self.link.open(head);
        self.refused = self.line.is_none();
        if let Some(line) = &mut self.line {
            line.declare(body, head.version);
        }
    }

    pub(crate) fn send_data(&mut self, data: &[u8]) {
        if let Some(line) = &mut self.line {
            line.send_data(data);
        }
    }

    pub(crate) fn send_end(&mut self, trailers: Option<&Fields>) {
        if let Some(line) = &mut self.line {
            line.send_end(trailers);
        }
    }

    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.on_line(|line| line.poll_room(cx))
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.on_line(|line| line.poll_flush(cx))
    }

    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut Lent<ResponseHead>) -> Poll<Result<(), Fault>> {
        let polled = self.on_line(|line| line.poll_head(cx, head));
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.answered = true;
            self.link.note_answer();
        }
        polled
    }

    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, Fault>> {
        match &mut self.line {
            Some(line) => line.poll_body(cx).map_err(|lost| fault(lost, Step::Respond)),
            None => Poll::Ready(Err(not_opened())),
        }
    }

    pub(crate) fn consume(&mut self, count: usize) {
        if let Some(line) = &mut self.line {
            line.consume(count);
        }
    }

    pub(crate) fn become_tunnel(&mut self) {
        if let Some(line) = &mut self.line {
            line.become_tunnel();
        }
    }

    /// Ready once it is known whether the server takes upgrades, with whether it does.
    pub(crate) fn takes_upgrades(&self) -> Option<bool> {
        self.link.takes_upgrades()
    }

    fn on_line<T>(&mut self, work: impl FnOnce(&mut Line) -> Poll<Result<T, Lost>>) -> Poll<Result<T, Fault>> {
        match &mut self.line {
            Some(line) => work(line).map_err(|lost| fault(lost, Step::Forward)),
            None => Poll::Ready(Err(not_opened())),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.is_last {
            self.link.retire();
        }
    }
}

fn not_opened() -> Fault {
    Fault::new(Cause::RefusedStream, Step::Forward).because("the connection takes no more requests")
}

fn fault(lost: Lost, step: Step) -> Fault {
    let after = |cause| Fault { sent: Sent::Perhaps, ..Fault::new(cause, step) };
    match lost {
        Lost::Reset(Code::RefusedStream, ResetBy::Peer) => Fault::new(Cause::RefusedStream, step),
        Lost::Reset(code, ResetBy::Peer) => after(Cause::UpstreamReset).because(format!("{code:?}")),
        Lost::Reset(_, ResetBy::Us(reason)) | Lost::Protocol(reason) => after(Cause::UpstreamProtocol).because(reason),
        Lost::Connection(reason) => after(Cause::UpstreamClosed).because(reason),
    }
}
