//! One stream, as the protocol sees it.

use super::flow::{ReceiveWindow, SendWindow};
use super::frame::Code;

/// What one direction of a stream is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// The head of a response.
    Head,
    /// The body, or trailers.
    Body,
    /// Nothing: it ended.
    Done,
}

/// A stream, with what the caller keeps of it.
#[derive(Debug)]
pub(super) struct Stream<S> {
    pub(super) receives: Half,
    pub(super) sends: Half,
    pub(super) send_window: SendWindow,
    pub(super) receive_window: ReceiveWindow,
    /// Bytes of body that a content-length still promises.
    pub(super) promised: Option<u64>,
    /// What the request means for its response.
    pub(super) asks: Asks,
    /// Over before its time.
    pub(super) reset: Option<Code>,
    /// We, the server, have sent the head of the response.
    pub(super) answered: bool,
    pub(super) kept: S,
}

/// What a request means for its response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asks {
    /// It is `HEAD`.
    pub(super) head: bool,
    /// It is an extended CONNECT for this protocol, which HTTP/1 knows as an upgrade.
    pub(super) upgrade: Option<Box<[u8]>>,
    /// It is a CONNECT of either kind.
    pub(super) tunnel: bool,
}

impl<S> Stream<S> {
    /// Open for nobody any more.
    pub(super) fn is_over(&self) -> bool {
        self.reset.is_some() || self.receives == Half::Done && self.sends == Half::Done
    }

    /// Takes bytes of body, which with their padding are `length`, or says what is wrong with them.
    pub(super) fn takes(&mut self, length: usize, data: usize, end: bool) -> Result<(), (Code, &'static str)> {
        if !self.count(data as u64) {
            return Err((Code::Protocol, "more data than the content-length"));
        }
        if end && !self.may_end() {
            return Err((Code::Protocol, "less data than the content-length"));
        }
        if !self.receive_window.take(length as u32) {
            return Err((Code::FlowControl, "more data than the stream's window allows"));
        }
        Ok(())
    }

    /// Counts bytes of body; false if there are more than promised.
    fn count(&mut self, bytes: u64) -> bool {
        match &mut self.promised {
            None => true,
            Some(left) => match left.checked_sub(bytes) {
                Some(rest) => {
                    *left = rest;
                    true
                }
                None => false,
            },
        }
    }

    /// True if a body may end here.
    pub(super) fn may_end(&self) -> bool {
        self.promised.is_none_or(|left| left == 0)
    }
}
