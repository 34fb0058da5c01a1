//! One HTTP/2 stream: what the connection's driver keeps of it, and the end that an exchange holds.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use mesh_http::h2::{Code, ResetBy};
use mesh_http::{BodyLength, Fields, RequestHead, ResponseHead, Version};

use super::body::Piece;
use super::buffer::READ;
use super::lent::Lent;
use super::link::{HIGH_WATER, Inner, Link};

/// A buffer that has grown larger is let go once it was read: a stream can be idle for long.
const LARGE: usize = 4 * READ;

/// Why a stream is over before its time.
#[derive(Clone, Debug)]
pub(crate) enum Lost {
    /// It alone.
    Reset(Code, ResetBy),
    /// Its connection broke the protocol.
    Protocol(&'static str),
    /// Its connection is gone.
    Connection(Cow<'static, str>),
}

/// What the driver keeps of a stream.
#[derive(Debug, Default)]
pub(super) struct Lane {
    heads: Heads,
    body: Vec<u8>,
    end: Option<Option<Fields>>,
    lost: Option<Lost>,
    pub(super) queue: Queue,
    pub(super) queue_end: Option<Option<Fields>>,
    waker: Option<Waker>,
}

/// Heads of responses that nobody has read yet. Nearly always there is one, which needs no memory of its own.
#[derive(Debug, Default)]
struct Heads {
    first: Option<Lent<ResponseHead>>,
    /// Those after it.
    later: VecDeque<Lent<ResponseHead>>,
}

impl Heads {
    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.later.len()
    }

    fn push(&mut self, head: Lent<ResponseHead>) {
        match self.first {
            None => self.first = Some(head),
            Some(_) => self.later.push_back(head),
        }
    }

    fn pop(&mut self) -> Option<Lent<ResponseHead>> {
        std::mem::replace(&mut self.first, self.later.pop_front())
    }
}

/// Bytes that could not be sent yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    sent: usize,
}

impl Queue {
    pub(super) fn push(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
    }

    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }
}

impl Lane {
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// A response's head; one too many is a flood.
    pub(super) fn head_came(&mut self, head: Lent<ResponseHead>, end: bool, most: usize) {
        if self.heads.len() >= most {
            return self.lost(Lost::Protocol("too many interim responses"));
        }
        self.heads.push(head);
        if end {
            self.end = Some(None);
        }
        self.wake();
    }

    pub(super) fn data_came(&mut self, data: &[u8], end: bool) {
        self.body.extend_from_slice(data);
        if end {
            self.end = Some(None);
        }
        self.wake();
    }

    pub(super) fn end_came(&mut self, trailers: Option<Fields>) {
        self.end = Some(trailers);
        self.wake();
    }

    pub(super) fn lost(&mut self, why: Lost) {
        self.lost.get_or_insert(why);
        self.wake();
    }

    pub(super) fn has_queue(&self) -> bool {
        !self.queue.unsent().is_empty() || self.queue_end.is_some()
    }
}

/// An exchange's end of a stream. Dropped, the stream is reset unless it is over.
pub(crate) struct Line {
    link: Rc<Link>,
    id: u32,
    /// Bytes of the body that are being read, and how many were.
    piece: Vec<u8>,
    taken: usize,
    /// What came of the end.
    ended: bool,
    trailers: Option<Fields>,
    /// The request switches to bytes if it is answered so, and whether it was.
    may_tunnel: bool,
    tunnel: bool,
    /// Bytes that the body to send is declared to have.
    declared: Option<u64>,
    sent_end: bool,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Line {
    pub(super) fn new(link: Rc<Link>, id: u32, head: &RequestHead) -> Self {
        Self {
            link,
            id,
            piece: Vec::new(),
            taken: 0,
            ended: false,
            trailers: None,
            may_tunnel: head.upgrade || head.method() == b"CONNECT",
            tunnel: false,
            declared: None,
            sent_end: false,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// The end of a request that came.
    pub(super) fn of_request(link: &Rc<Link>, id: u32, head: &RequestHead, end: bool) -> Self {
        let mut line = Self::new(link.clone(), id, head);
        line.ended = end && !line.may_tunnel;
        line
    }

    /// Works on the connection, and on what it keeps of this stream.
    fn inner<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.link.inner.borrow_mut())
    }

    /// Why the stream is over, if it is.
    fn lost(inner: &mut Inner, id: u32) -> Option<Lost> {
        match inner.conn.kept(id) {
            Some(lane) => lane.lost.clone(),
            None => Some(inner.ended.clone().unwrap_or(Lost::Connection("the stream is gone".into()))),
        }
    }

    /// The next head of a response.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut Lent<ResponseHead>) -> Poll<Result<(), Lost>> {
        let id = self.id;
        self.inner(|inner| {
            if let Some(lane) = inner.conn.kept(id) {
                if let Some(came) = lane.heads.pop() {
                    *head = came;
                    return Poll::Ready(Ok(()));
                }
                lane.wait(cx);
            }
            Self::lost(inner, id).map_or(Poll::Pending, |lost| Poll::Ready(Err(lost)))
        })
    }

    /// The next of the body that comes.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, Lost>> {
        if self.taken < self.piece.len() {
            return Poll::Ready(Ok(Piece::Data(self.share())));
        }
        // Before it is answered, a request for a tunnel has no body.
        if self.ended || self.may_tunnel && !self.tunnel {
            return Poll::Ready(Ok(Piece::End(self.trailers.as_ref())));
        }
        if self.piece.capacity() > LARGE {
            self.piece = Vec::new()
        } else {
            self.piece.clear()
        }
        self.taken = 0;
        let mut inner = self.link.inner.borrow_mut();
        if let Some(lane) = inner.conn.kept(self.id) {
            if !lane.body.is_empty() {
                std::mem::swap(&mut lane.body, &mut self.piece);
                drop(inner);
                return Poll::Ready(Ok(Piece::Data(self.share())));
            }
            if let Some(trailers) = lane.end.take() {
                self.ended = true;
                self.trailers = trailers.filter(|trailers| !trailers.is_empty());
                return Poll::Ready(Ok(Piece::End(self.trailers.as_ref())));
            }
            lane.wait(cx);
        }
        Self::lost(&mut inner, self.id).map_or(Poll::Pending, |lost| Poll::Ready(Err(lost)))
    }

    /// What is passed on next: no more at once than the other side lets wait, since whoever takes it gives the peer room
    /// for as much again.
    fn share(&self) -> &[u8] {
        let rest = &self.piece[self.taken..];
        &rest[..rest.len().min(READ)]
    }

    /// Marks bytes of the last piece as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.taken += count;
        self.bytes_in += count as u64;
        self.inner(|inner| inner.release(self.id, count));
    }

    /// Ready with the reason once the stream is over before its time.
    pub(crate) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<Lost> {
        let id = self.id;
        self.inner(|inner| {
            if let Some(lane) = inner.conn.kept(id) {
                lane.wait(cx);
            }
            Self::lost(inner, id).map_or(Poll::Pending, Poll::Ready)
        })
    }

    pub(crate) fn send_interim(&mut self, head: &ResponseHead) {
        self.inner(|inner| inner.respond_interim(self.id, head));
    }

    pub(crate) fn respond(&mut self, head: &ResponseHead, body: BodyLength) {
        self.declare(body, head.version);
        let body = if self.sent_end { BodyLength::Empty } else { body };
        self.inner(|inner| inner.respond(self.id, head, body));
    }

    /// How long the body that will be sent is. HTTP/2 can have trailers after a body of known length, HTTP/1 cannot.
    pub(crate) fn declare(&mut self, body: BodyLength, from: Version) {
        (self.declared, self.sent_end) = match body {
            BodyLength::Exact(length) if length > 0 && from != Version::Http2 => (Some(length), false),
            _ => (None, is_over(body, from) && !self.may_tunnel),
        };
    }

    pub(crate) fn send_data(&mut self, data: &[u8]) {
        if data.is_empty() || self.sent_end {
            return;
        }
        self.bytes_out += data.len() as u64;
        // The last bytes say that they are: no frame of its own for that.
        self.sent_end = self.declared == Some(self.bytes_out);
        self.inner(|inner| inner.send(self.id, data, self.sent_end));
    }

    /// Ends the body, or our direction of a tunnel; a request for a tunnel stays open for it.
    pub(crate) fn send_end(&mut self, trailers: Option<&Fields>) {
        if !self.sent_end && (self.tunnel || !self.may_tunnel) {
            self.sent_end = true;
            self.inner(|inner| inner.send_end(self.id, trailers));
        }
    }

    /// Waits until there is room to send more.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let id = self.id;
        self.inner(|inner| {
            let crowded = inner.wire.output.pending().len() >= HIGH_WATER;
            if let Some(lost) = Self::lost(inner, id) {
                return Poll::Ready(Err(lost));
            }
            let Some(lane) = inner.conn.kept(id) else { return Poll::Pending };
            if !crowded && !lane.has_queue() {
                return Poll::Ready(Ok(()));
            }
            lane.wait(cx);
            if crowded {
                if !inner.crowded.contains(&id) {
                    inner.crowded.push(id);
                }
                inner.wake_driver();
            }
            Poll::Pending
        })
    }

    /// Waits until the connection has taken all that was sent; it writes by itself.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let id = self.id;
        self.inner(|inner| {
            if let Some(lane) = inner.conn.kept(id).filter(|lane| lane.has_queue() && lane.lost.is_none()) {
                lane.wait(cx);
                return Poll::Pending;
            }
            Self::lost(inner, id).map_or(Poll::Ready(Ok(())), |lost| Poll::Ready(Err(lost)))
        })
    }

    /// What comes and goes now is bytes.
    pub(crate) fn become_tunnel(&mut self) {
        self.tunnel = true;
        (self.declared, self.sent_end) = (None, false);
    }

    /// Ends the stream before its time.
    pub(crate) fn reset(&mut self, code: Code) {
        self.inner(|inner| inner.forget(self.id, code));
    }
}

/// True if nothing follows the head: HTTP/2 can have trailers even after a body of no bytes.
fn is_over(body: BodyLength, from: Version) -> bool {
    body == BodyLength::Empty || from != Version::Http2 && body.is_empty()
}

impl Drop for Line {
    fn drop(&mut self) {
        // Having answered in full, a server need not hear the rest of the request (RFC 9113, section 8.1).
        let code = if self.sent_end { Code::NoError } else { Code::Cancel };
        self.inner(|inner| inner.forget(self.id, code));
    }
}
