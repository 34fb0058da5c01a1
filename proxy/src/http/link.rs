//! One HTTP/2 connection and its streams: whoever has a stream reads and writes its buffers, and one driver moves bytes
//! between them and the socket, all streams' in one write a turn.

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mesh_http::h2::{Code, Connection, Event, Limits, ResetBy, Role};
use mesh_http::{Fields, RequestHead, ResponseHead};

use super::buffer::READ;
use super::lane::{Lane, Line, Lost};
use super::lent::Lent;
use super::wire::Wire;

/// Above so many unwritten bytes no more bodies are taken.
pub(super) const HIGH_WATER: usize = 64 * 1024;
/// Above so many nothing is read either: the peer makes us answer and does not read.
const FLOODED: usize = 1024 * 1024;
/// One frame with its header.
const FRAME: usize = READ + 9;
/// So much of one body is sent before another has its turn.
const TURN: usize = READ;
/// Interim responses that may wait to be read.
const MOST_HEADS: usize = 16;
/// How often what a peer has troubled us with is forgotten.
const TICK: Duration = Duration::from_secs(1);

/// A connection, shared by its streams and its driver.
pub(crate) struct Link {
    pub(super) inner: RefCell<Inner>,
    answered: Cell<bool>,
}

pub(super) struct Inner {
    pub(super) conn: Connection<Lane>,
    pub(super) wire: Wire,
    /// Requests that came and have nobody yet.
    arrived: VecDeque<Arrived>,
    /// Streams with bytes that could not be sent yet.
    pub(super) blocked: VecDeque<u32>,
    /// Streams that wait for the output to shrink.
    pub(super) crowded: Vec<u32>,
    driver: Option<Waker>,
    /// The driver is at work, and will see what is changed now.
    driving: bool,
    /// What is to be written waits for what others are about to say.
    gathering: bool,
    /// Nothing was read since too much is to be written.
    flooded: bool,
    /// The connection is over.
    pub(super) ended: Option<Lost>,
    /// No new streams: the connection closes with its last one.
    retired: bool,
    /// The peer was told that the end is near, and asked to say that it heard.
    announced: bool,
    ticked: Instant,
    /// Told when a stream ends.
    on_free: Option<Box<dyn Fn()>>,
    /// Who waits for the peer's settings.
    await_settings: Vec<Waker>,
}

/// A request that came.
pub(crate) struct Arrived {
    pub(crate) id: u32,
    pub(crate) head: Lent<RequestHead>,
    /// Its head was not read to its end.
    pub(crate) too_large: bool,
    /// It has no body.
    pub(crate) end: bool,
}

impl Link {
    /// A connection that begins now, with what was read of it already.
    pub(crate) fn new(role: Role, limits: Limits, mut wire: Wire) -> Rc<Self> {
        let conn = Connection::new(role, limits, wire.output.tail());
        let inner = Inner {
            conn,
            wire,
            arrived: VecDeque::new(),
            blocked: VecDeque::new(),
            crowded: Vec::new(),
            driver: None,
            driving: false,
            gathering: false,
            flooded: false,
            ended: None,
            retired: false,
            announced: false,
            ticked: Instant::now(),
            on_free: None,
            await_settings: Vec::new(),
        };
        Rc::new(Self { inner: RefCell::new(inner), answered: Cell::new(false) })
    }

    /// Calls `then` whenever a stream ends.
    pub(crate) fn on_free(&self, then: impl Fn() + 'static) {
        self.inner.borrow_mut().on_free = Some(Box::new(then));
    }

    /// Opens a stream; `None` if none can be opened now.
    pub(crate) fn open(self: &Rc<Self>, head: &RequestHead) -> Option<Line> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.ended.is_some() {
            return None;
        }
        let id = inner.conn.open(head, Lane::default(), inner.wire.output.tail())?;
        inner.wake_driver();
        Some(Line::new(self.clone(), id, head))
    }

    /// True if a stream can be opened now, of no more than `most` at once.
    pub(crate) fn can_open(&self, most: u32) -> bool {
        let inner = self.inner.borrow();
        inner.ended.is_none() && !inner.retired && inner.conn.can_open() && inner.conn.active() < most
    }

    /// True if no stream will be opened any more.
    pub(crate) fn is_closing(&self) -> bool {
        let inner = self.inner.borrow();
        inner.ended.is_some() || inner.retired || inner.conn.is_closing()
    }

    /// True if no stream is held by anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner.borrow().conn.is_empty()
    }

    /// Whether the peer takes upgrades, once its settings came.
    pub(crate) fn takes_upgrades(&self) -> Option<bool> {
        let inner = self.inner.borrow();
        (inner.conn.has_settings() || inner.ended.is_some()).then(|| inner.conn.takes_upgrades())
    }

    /// Is woken once [`Self::takes_upgrades`] can say.
    pub(crate) fn wait_for_settings(&self, cx: &Context<'_>) {
        self.inner.borrow_mut().await_settings.push(cx.waker().clone());
    }

    /// True if a request was answered on it.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.get()
    }

    /// A request was answered.
    pub(crate) fn note_answer(&self) {
        self.answered.set(true);
    }

    /// Looks at the connection's stream.
    pub(crate) fn with_stream<T>(&self, look: impl FnOnce(&crate::stream::Stream) -> T) -> T {
        look(self.inner.borrow().wire.stream())
    }

    /// Opens no more streams, and closes with the last.
    pub(crate) fn retire(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.retired = true;
        inner.wake_driver();
    }

    /// Tells the peer to open no more streams.
    pub(crate) fn announce_end(&self) {
        let inner = &mut *self.inner.borrow_mut();
        inner.announced = true;
        inner.conn.announce_end(inner.wire.output.tail());
    }

    /// Ends the connection for a reason of ours, unless it has ended for another.
    pub(crate) fn refuse(&self, code: Code, reason: &'static str) {
        let inner = &mut *self.inner.borrow_mut();
        if inner.ended.is_some() {
            return;
        }
        inner.conn.go_away(code, reason, inner.wire.output.tail());
        inner.end(Lost::Connection(reason.into()));
    }

    /// The next request that came.
    pub(crate) fn next_request(&self) -> Option<Arrived> {
        self.inner.borrow_mut().arrived.pop_front()
    }

    /// The beginning of the driver's turn: reads and hands on all that is there. Ready once the connection is over.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &mut *self.inner.borrow_mut();
        if !inner.driver.as_ref().is_some_and(|driver| driver.will_wake(cx.waker())) {
            inner.driver = Some(cx.waker().clone());
        }
        inner.driving = true;
        inner.tick();
        loop {
            inner.read();
            if inner.ended.is_some() {
                return Poll::Ready(());
            }
            inner.flooded = inner.wire.output.pending().len() > FLOODED;
            if inner.flooded {
                return Poll::Pending;
            }
            match inner.wire.poll_fill(cx, FRAME) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => inner.end(Lost::Connection("connection closed".into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => inner.end(Lost::Connection(error.to_string().into())),
            }
        }
    }

    /// The end of the driver's turn: sends what can be sent.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.gathers() {
            // Wakes us once the runtime has looked for what came meanwhile, and after those whom that woke.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        inner.driving = false;
        loop {
            inner.pump();
            match inner.wire.poll_flush(cx) {
                Poll::Ready(Ok(())) if inner.blocked.is_empty() || !inner.can_pump() => {
                    inner.relieve();
                    inner.wire.output.rest();
                    if inner.flooded {
                        // Reading goes on, and nothing else would say so.
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    inner.end(Lost::Connection(error.to_string().into()));
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    inner.relieve();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Says that nothing more comes.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.borrow_mut().wire.poll_shutdown(cx).map(|_| ())
    }

    /// True if all that there is to say on an ended or retired connection has been said.
    pub(crate) fn is_done(&self) -> bool {
        let inner = self.inner.borrow();
        inner.ended.is_some() || (inner.retired || inner.conn.is_closing()) && inner.conn.is_empty()
    }
}

impl Inner {
    /// Lets the driver have a turn, unless it has one now.
    pub(super) fn wake_driver(&mut self) {
        if !self.driving
            && let Some(driver) = self.driver.take()
        {
            driver.wake();
        }
    }

    /// True, once before each write, while other streams are open: their frames go in the same record and send.
    fn gathers(&mut self) -> bool {
        let waiting = self.wire.output.pending().len();
        let alone = self.conn.active() <= u32::from(!self.conn_is_server());
        self.gathering = !self.gathering && !alone && (1..HIGH_WATER).contains(&waiting);
        self.gathering
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.ticked) >= TICK {
            self.ticked = now;
            self.conn.tick();
        }
    }

    /// Hands on what was read.
    fn read(&mut self) {
        while self.ended.is_none() && !self.wire.input.is_empty() {
            match self.conn.receive(self.wire.input.unread(), self.wire.output.tail()) {
                Ok(received) if received.consumed == 0 && received.event.is_none() => break,
                Ok(received) => {
                    if let Some(event) = received.event {
                        self.hand_on(event);
                    }
                    self.wire.input.consume(received.consumed);
                }
                Err(fatal) => self.end(Lost::Protocol(fatal.reason)),
            }
        }
        if self.conn.has_settings() || self.ended.is_some() {
            self.await_settings.drain(..).for_each(Waker::wake);
        }
    }

    fn hand_on(&mut self, event: Event) {
        match event {
            Event::Request { stream, end, too_large } => {
                let head = Lent::<RequestHead>::new().swap(|spare| self.conn.take_request(spare));
                self.arrived.push_back(Arrived { id: stream, head, too_large, end });
            }
            Event::Response { stream, end } => {
                let head = Lent::<ResponseHead>::new().swap(|spare| self.conn.take_response(spare));
                self.lane(stream, |lane| lane.head_came(head, end, MOST_HEADS));
            }
            Event::Data { stream, range, end } => {
                let data = &self.wire.input.unread()[range];
                if let Some(lane) = self.conn.kept(stream) {
                    lane.data_came(data, end);
                }
            }
            Event::Trailers { stream } => {
                let trailers = self.conn.take_trailers();
                self.lane(stream, |lane| lane.end_came(Some(trailers)));
            }
            Event::Reset { stream, code, by } => self.lane(stream, |lane| lane.lost(Lost::Reset(code, by))),
            Event::GoAway { last, .. } => self.goes_away(last),
            // Asked when the end was announced: whoever had not heard of it has by now.
            Event::Pong if self.announced => {
                self.conn.go_away(Code::NoError, "", self.wire.output.tail());
                self.retired = true;
            }
            Event::Pong => {}
        }
    }

    fn conn_is_server(&self) -> bool {
        self.conn.role() == Role::Server
    }

    fn lane(&mut self, stream: u32, change: impl FnOnce(&mut Lane)) {
        if let Some(lane) = self.conn.kept(stream) {
            change(lane);
        }
    }

    /// Streams above `last` were certainly not worked on.
    fn goes_away(&mut self, last: u32) {
        if self.conn_is_server() {
            return;
        }
        for (id, lane) in self.conn.all_kept() {
            if id > last {
                lane.lost(Lost::Reset(Code::RefusedStream, ResetBy::Peer));
            }
        }
    }

    /// The connection is over for everybody.
    fn end(&mut self, why: Lost) {
        if self.ended.is_none() {
            self.ended = Some(why.clone());
            self.conn.all_kept().for_each(|(_, lane)| lane.lost(why.clone()));
            self.await_settings.drain(..).for_each(Waker::wake);
            self.wake_driver();
        }
    }

    fn can_pump(&self) -> bool {
        self.blocked.iter().any(|id| self.conn.room(*id) > 0)
    }

    /// Sends what was held back, each stream in its turn.
    fn pump(&mut self) {
        let mut stuck = 0;
        while stuck < self.blocked.len()
            && self.wire.output.pending().len() < HIGH_WATER
            && let Some(id) = self.blocked.pop_front()
        {
            match self.pump_one(id) {
                Pumped::Done => stuck = 0,
                Pumped::Some => {
                    self.blocked.push_back(id);
                    stuck = 0;
                }
                Pumped::Nothing => {
                    self.blocked.push_back(id);
                    stuck += 1;
                }
            }
        }
    }

    fn pump_one(&mut self, id: u32) -> Pumped {
        let Some(lane) = self.conn.kept(id) else { return Pumped::Done };
        let (mut queue, end) = (std::mem::take(&mut lane.queue), lane.queue_end.take());
        let piece = &queue.unsent()[..queue.unsent().len().min(TURN)];
        let last = piece.len() == queue.unsent().len();
        let ends_here = last && matches!(end, Some(None));
        let sent = self.conn.data(id, piece, ends_here, self.wire.output.tail());
        let all = last && sent == piece.len();
        queue.sent(sent);
        if all && let Some(Some(trailers)) = &end {
            self.conn.trailers(id, trailers, self.wire.output.tail());
        }
        let Some(lane) = self.conn.kept(id) else { return Pumped::Done };
        if all {
            lane.wake();
            return Pumped::Done;
        }
        (lane.queue, lane.queue_end) = (queue, end);
        if sent > 0 { Pumped::Some } else { Pumped::Nothing }
    }

    /// Wakes who waited for the output to shrink.
    fn relieve(&mut self) {
        if self.wire.output.pending().len() < HIGH_WATER {
            for id in std::mem::take(&mut self.crowded) {
                self.lane(id, Lane::wake);
            }
        }
    }

    /// Appends bytes of a body, or keeps them until they can be sent. With `end` they are the last.
    pub(super) fn send(&mut self, id: u32, data: &[u8], end: bool) {
        let waits = self.conn.kept(id).is_none_or(|lane| lane.has_queue());
        let sent = if waits { 0 } else { self.conn.data(id, data, end, self.wire.output.tail()) };
        if sent < data.len() || waits && end {
            let Some(lane) = self.conn.kept(id) else { return };
            lane.queue.push(&data[sent..]);
            if end {
                lane.queue_end = Some(None);
            }
            if !waits {
                self.blocked.push_back(id);
            }
        }
        self.wake_driver();
    }

    /// Ends a body.
    pub(super) fn send_end(&mut self, id: u32, trailers: Option<&Fields>) {
        let Some(trailers) = trailers else { return self.send(id, &[], true) };
        match self.conn.kept(id) {
            Some(lane) if lane.has_queue() => lane.queue_end = Some(Some(trailers.clone())),
            _ => self.conn.trailers(id, trailers, self.wire.output.tail()),
        }
        self.wake_driver();
    }

    pub(super) fn respond(&mut self, id: u32, head: &ResponseHead, body: mesh_http::BodyLength) {
        self.conn.respond(id, head, body, self.wire.output.tail());
        self.wake_driver();
    }

    pub(super) fn respond_interim(&mut self, id: u32, head: &ResponseHead) {
        self.conn.respond_interim(id, head, self.wire.output.tail());
        self.wake_driver();
    }

    pub(super) fn release(&mut self, id: u32, count: usize) {
        let before = self.wire.output.pending().len();
        self.conn.release(id, count, self.wire.output.tail());
        if self.wire.output.pending().len() > before {
            self.wake_driver();
        }
    }

    pub(super) fn forget(&mut self, id: u32, code: Code) {
        self.conn.forget(id, code, self.wire.output.tail());
        if let Some(told) = &self.on_free {
            told();
        }
        self.wake_driver();
    }
}

enum Pumped {
    Done,
    Some,
    Nothing,
}
