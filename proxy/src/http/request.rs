//! The request on its way to the endpoint, kept for as long as it may have to be sent again.

use std::task::{Context, Poll};

use mesh_http::Fields;

use super::body::Piece;
use super::caller::Caller;
use crate::fault::Fault;
use crate::pool::Client;

/// A body longer than this is not kept, and its request not tried again (Envoy's default buffer limit).
const MOST_KEPT: usize = 1024 * 1024;
/// So much is kept of a body that nobody asked to keep, for what may be sent again without anybody's word.
const ALWAYS_KEPT: usize = 64 * 1024;

/// A request's body: what was read of it, and how much of that the present try has sent.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// What was read so far, while it is kept.
    kept: Vec<u8>,
    /// So much is kept at most.
    most: usize,
    /// Something was read that is not kept: the request cannot be sent again.
    lost: bool,
    /// The end was read, with these trailers.
    end: Option<Option<Box<Fields>>>,
    /// Bytes of `kept` that this try has sent.
    sent: usize,
    sent_end: bool,
    gave_up: bool,
}

impl Outgoing {
    /// A body that is kept, whole if it is `needed` again by a retry policy or a mirror.
    pub(super) fn kept(needed: bool) -> Self {
        Self { most: if needed { MOST_KEPT } else { ALWAYS_KEPT }, ..Self::default() }
    }

    /// Bytes that are sent once.
    pub(super) fn once() -> Self {
        Self::default()
    }

    /// True if the request can be sent from its beginning.
    pub(super) fn can_repeat(&self) -> bool {
        !self.lost
    }

    /// Begins another try.
    pub(super) fn rewind(&mut self) {
        (self.sent, self.sent_end, self.gave_up) = (0, false, false);
    }

    /// From here on the body is not needed again.
    pub(super) fn forget(&mut self) {
        self.most = 0;
    }

    /// True if this try has sent everything, or has given up doing so.
    pub(super) fn is_over(&self) -> bool {
        self.sent_end || self.gave_up
    }

    /// True if the caller has said all.
    pub(super) fn is_read(&self) -> bool {
        self.end.is_some()
    }

    /// Sends nothing more: the endpoint does not read it.
    pub(super) fn give_up(&mut self) {
        self.gave_up = true;
    }

    /// The whole body, if it was kept.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (self.end.is_some() && !self.lost).then_some(&self.kept)
    }

    /// Moves as much as there is and as there is room for, and writes it; says whether anything moved.
    ///
    /// # Errors
    /// If either side is broken.
    pub(super) fn drive<C: Caller>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
        caller: &mut C,
    ) -> Result<bool, Fault> {
        let mut moved = false;
        while !self.is_over() {
            if client.poll_room(cx)?.is_pending() {
                break;
            }
            if self.sent < self.kept.len() {
                client.send_data(&self.kept[self.sent..]);
                self.sent = self.kept.len();
                moved = true;
            }
            if let Some(trailers) = &self.end {
                client.send_end(trailers.as_deref());
                (self.sent_end, moved) = (true, true);
                break;
            }
            match caller.poll_body(cx)? {
                Poll::Pending => break,
                Poll::Ready(Piece::Data(data)) => {
                    let count = data.len();
                    client.send_data(data);
                    self.note(data);
                    caller.consume(count);
                    moved = true;
                }
                Poll::Ready(Piece::End(trailers)) => self.end = Some(trailers.cloned().map(Box::new)),
            }
        }
        if self.gave_up {
            return Ok(moved);
        }
        match client.poll_flush(cx) {
            Poll::Ready(written) => written.map(|()| moved),
            Poll::Pending => Ok(moved),
        }
    }

    fn note(&mut self, data: &[u8]) {
        if !self.lost && self.kept.len() + data.len() <= self.most {
            self.kept.extend_from_slice(data);
            self.sent = self.kept.len();
        } else {
            self.lost = true;
            self.kept = Vec::new();
            self.sent = 0;
        }
    }
}
