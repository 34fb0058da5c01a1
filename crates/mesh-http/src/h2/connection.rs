//! A connection: what both directions know.

use std::collections::VecDeque;

use super::flow::{ReceiveWindow, SendWindow};
use super::frame::{self, Code, PREFACE};
use super::nuisance::Nuisance;
use super::receive::{Block, Payload};
use super::settings::{self, Limits, Peer};
use super::stream::{Half, Stream};
use super::streams::Streams;
use crate::hpack::{Decoder, Encoder};
use crate::{Fields, RequestHead, ResponseHead};

/// Streams that we reset and of which frames may still come.
const REMEMBERED: usize = 1024;
/// Stream identifiers end here.
const LAST_STREAM: u32 = 0x7fff_ffff;

/// Which end of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We open streams.
    Client,
    /// We answer them.
    Server,
}

/// One end of a connection. `S` is what the caller keeps with each stream, until it [forgets](Self::forget) it.
#[derive(Debug)]
pub struct Connection<S> {
    pub(super) role: Role,
    pub(super) limits: Limits,
    pub(super) peer: Peer,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) streams: Streams<S>,
    /// Streams that count against the limit of whoever opened them.
    pub(super) active: u32,
    /// The highest stream that the peer has opened (server), and the one that we open next (client).
    pub(super) highest: u32,
    pub(super) next: u32,
    pub(super) send_window: SendWindow,
    pub(super) receive_window: ReceiveWindow,
    pub(super) nuisance: Nuisance,
    /// The preface is read.
    pub(super) begun: bool,
    /// The payload that is being read, and the field block that is.
    pub(super) payload: Option<Payload>,
    pub(super) block: Option<Block>,
    /// Streams above this are refused: we said so, or the peer did.
    pub(super) last_of_ours: u32,
    pub(super) last_of_theirs: u32,
    we_reset: VecDeque<u32>,
    pub(super) request: RequestHead,
    pub(super) response: ResponseHead,
    pub(super) trailers: Fields,
}

impl<S> Connection<S> {
    /// Begins: appends the preface and the settings.
    pub fn new(role: Role, limits: Limits, out: &mut Vec<u8>) -> Self {
        if role == Role::Client {
            out.extend_from_slice(PREFACE);
        }
        limits.announce(role, out);
        Self {
            role,
            limits,
            peer: Peer::default(),
            decoder: Decoder::new(4096),
            encoder: Encoder::default(),
            streams: Streams::default(),
            active: 0,
            highest: 0,
            next: 1,
            send_window: SendWindow::new(settings::DEFAULT_WINDOW),
            receive_window: ReceiveWindow::new(limits.connection_window.max(settings::DEFAULT_WINDOW)),
            nuisance: Nuisance::default(),
            begun: role == Role::Client,
            payload: None,
            block: None,
            last_of_ours: LAST_STREAM,
            last_of_theirs: LAST_STREAM,
            we_reset: VecDeque::new(),
            request: RequestHead::default(),
            response: ResponseHead::default(),
            trailers: Fields::default(),
        }
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The head that [`Event::Request`](super::Event::Request) told of, against one whose memory the next can use.
    pub fn take_request(&mut self, spare: RequestHead) -> RequestHead {
        std::mem::replace(&mut self.request, spare)
    }

    /// The head that [`Event::Response`](super::Event::Response) told of, against one whose memory the next can use.
    pub fn take_response(&mut self, spare: ResponseHead) -> ResponseHead {
        std::mem::replace(&mut self.response, spare)
    }

    /// The trailers that [`Event::Trailers`](super::Event::Trailers) told of.
    pub fn take_trailers(&mut self) -> Fields {
        std::mem::take(&mut self.trailers)
    }

    /// What is kept with a stream; `None` once it is forgotten.
    pub fn kept(&mut self, stream: u32) -> Option<&mut S> {
        self.streams.get_mut(stream).map(|stream| &mut stream.kept)
    }

    /// What is kept with each stream.
    pub fn all_kept(&mut self) -> impl Iterator<Item = (u32, &mut S)> {
        self.streams.iter_mut().map(|(id, stream)| (id, &mut stream.kept))
    }

    /// Streams that are open for one end at least.
    pub fn active(&self) -> u32 {
        self.active
    }

    /// True if no stream is kept.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// True if we, the client, can open a stream now.
    pub fn can_open(&self) -> bool {
        self.active < self.peer.streams && self.next <= self.last_of_theirs && self.next < LAST_STREAM
    }

    /// True if the peer will take no more streams, ever.
    pub fn is_closing(&self) -> bool {
        self.next > self.last_of_theirs || self.next >= LAST_STREAM
    }

    /// True if the peer takes an extended CONNECT (RFC 8441).
    pub fn takes_upgrades(&self) -> bool {
        self.peer.connect_protocol
    }

    /// True once the peer's settings came.
    pub fn has_settings(&self) -> bool {
        self.peer.heard
    }

    /// A second or so has passed: what was a nuisance in a moment may be none over time.
    pub fn tick(&mut self) {
        self.nuisance.tick();
    }

    /// Lets go of a stream. If it is not over it is reset with `code`.
    pub fn forget(&mut self, id: u32, code: Code, out: &mut Vec<u8>) -> Option<S> {
        if self.streams.get(id).is_some_and(|stream| !stream.is_over()) {
            self.reset(id, code, out);
        }
        let stream = self.streams.remove(id)?;
        self.give_back(stream.receive_window.unused(), out);
        Some(stream.kept)
    }

    /// Bytes of a body were used: the peer may send as many again.
    pub fn release(&mut self, id: u32, count: usize, out: &mut Vec<u8>) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let Some(stream) = self.streams.get_mut(id) else { return };
        let credit = stream.receive_window.give(count);
        if let Some(credit) = credit.filter(|_| stream.receives != Half::Done && stream.reset.is_none()) {
            frame::window_update(id, credit, out);
        }
        self.give_back(count, out);
    }

    /// Bytes of some stream do not count against the connection's window any more.
    pub(super) fn give_back(&mut self, count: u32, out: &mut Vec<u8>) {
        if let Some(credit) = self.receive_window.give(count) {
            frame::window_update(0, credit, out);
        }
    }

    /// Ends a stream before its time.
    pub fn reset(&mut self, id: u32, code: Code, out: &mut Vec<u8>) {
        frame::reset(id, code, out);
        if self.we_reset.len() == REMEMBERED {
            self.we_reset.pop_front();
        }
        self.we_reset.push_back(id);
        self.ended(id, |stream| stream.reset = Some(code));
    }

    /// True if frames of this stream may still come since the peer may not know that we reset it.
    pub(super) fn was_reset_by_us(&self, id: u32) -> bool {
        self.we_reset.contains(&id)
    }

    /// Changes a stream, and counts it out if that was its end.
    pub(super) fn ended(&mut self, id: u32, change: impl FnOnce(&mut Stream<S>)) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let before = stream.is_over();
        change(stream);
        if !before && stream.is_over() {
            self.active -= 1;
        }
    }

    /// Tells the peer that no new stream is taken, without saying yet which was the last: that would fail those on
    /// their way. To be followed, once [`Event::Pong`](super::Event::Pong) came, by [`Self::go_away`].
    pub fn announce_end(&mut self, out: &mut Vec<u8>) {
        frame::goaway(LAST_STREAM, Code::NoError, "", out);
        frame::ping(0, b"lastcall", out);
    }

    /// Tells the peer that streams above the present ones are refused.
    pub fn go_away(&mut self, code: Code, reason: &str, out: &mut Vec<u8>) {
        self.last_of_ours = self.highest;
        frame::goaway(self.highest, code, reason, out);
    }
}
