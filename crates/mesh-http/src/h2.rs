//! HTTP/2 (RFC 9113) for both ends of a connection, without IO: bytes in, events and bytes out.
//!
//! A [`Connection`] holds the streams, their windows and the compression tables. [`Connection::receive`] reads the bytes at
//! hand and says what they mean; the sending functions append frames to the caller's buffer. What the peer can make us
//! keep is bounded: streams, header blocks, unread data (by the windows that we grant), and frames that do no work.

mod connection;
mod flow;
mod frame;
mod head;
mod nuisance;
mod receive;
mod send;
mod settings;
mod stream;
mod streams;

pub use connection::{Connection, Role};
pub use frame::{Code, PREFACE};
pub use settings::Limits;

use std::ops::Range;

/// What the bytes of a peer mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request began (server). Its head is taken by [`Connection::take_request`].
    Request {
        /// Its stream.
        stream: u32,
        /// It has no body.
        end: bool,
        /// Its head is larger than we take: answer 431.
        too_large: bool,
    },
    /// The head of a response, interim or final, came (client). Taken by [`Connection::take_response`].
    Response {
        /// Its stream.
        stream: u32,
        /// It has no body.
        end: bool,
    },
    /// Bytes of a body, in the input that was given. They count against the windows until
    /// [`Connection::release`] gives them back.
    Data {
        /// Their stream.
        stream: u32,
        /// Where in the input.
        range: Range<usize>,
        /// They are the last.
        end: bool,
    },
    /// The body ended with trailers. Taken by [`Connection::take_trailers`].
    Trailers {
        /// Their stream.
        stream: u32,
    },
    /// A stream is over before its time: the peer reset it, or we did because of what the peer sent.
    Reset {
        /// The stream.
        stream: u32,
        /// Why.
        code: Code,
        /// Who did, and what was wrong.
        by: ResetBy,
    },
    /// The peer takes no stream above this one.
    GoAway {
        /// The last that it may have worked on.
        last: u32,
        /// Why.
        code: Code,
    },
    /// The peer answered our PING.
    Pong,
}

/// Who ended a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetBy {
    /// The peer.
    Peer,
    /// We, for this reason.
    Us(&'static str),
}

/// What [`Connection::receive`] made of the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes used. Zero with no event means that more are needed.
    pub consumed: usize,
    /// What they mean, if anything.
    pub event: Option<Event>,
}

/// The connection is lost: send what was appended, a GOAWAY, and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({code:?})")]
pub struct Fatal {
    /// As told to the peer.
    pub code: Code,
    /// For people.
    pub reason: &'static str,
}

impl Fatal {
    const fn new(code: Code, reason: &'static str) -> Self {
        Self { code, reason }
    }
}
