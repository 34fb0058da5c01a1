//! The side of an exchange from which the request came, whatever version of HTTP it speaks.

use std::task::{Context, Poll};

use mesh_http::{BodyLength, Fields, ResponseHead};

use super::body::Piece;
use crate::fault::Fault;

/// Who made a request and waits for its answer. What is sent is buffered until it is flushed: once a turn.
pub(crate) trait Caller {
    /// The next of the request's body.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, Fault>>;

    /// Marks bytes of the last piece as used.
    fn consume(&mut self, count: usize);

    /// Ready with the reason once the caller is certainly gone. A caller that only said that it sends nothing more is
    /// still answered.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Fault>;

    /// Sends an interim response (1xx).
    fn send_interim(&mut self, head: &ResponseHead);

    /// Begins the response; `body` is how long it will be.
    fn send_head(&mut self, head: &ResponseHead, body: BodyLength);

    /// Sends bytes of the response's body.
    fn send_data(&mut self, data: &[u8]);

    /// Ends the response, or our direction of a tunnel.
    fn send_end(&mut self, trailers: Option<&Fields>);

    /// Waits until there is room to send more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>>;

    /// Writes what was sent.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>>;

    /// After the head of a response that switches protocols: what comes and goes now is not HTTP any more.
    fn become_tunnel(&mut self);

    /// The response cannot be completed; the caller must see that.
    fn abort(&mut self);

    /// Bytes of the request's body that came, and of the response's that went.
    fn body_bytes(&self) -> (u64, u64);
}
