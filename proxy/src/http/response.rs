//! The answer on its way to the caller, and what is left of the request on its way to the endpoint.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::attempt::Reply;
use super::body::Piece;
use super::caller::Caller;
use super::grpc;
use super::timer::Timer;
use crate::fault::{Fault, Source};
use crate::record::RequestRecord;

/// Relays until the answer is complete and written; a tunnel, until both directions have ended.
pub(super) async fn relay<C: Caller>(
    reply: &mut Reply,
    caller: &mut C,
    timer: &mut Timer,
    facts: &mut RequestRecord,
) -> Result<(), Fault> {
    let mut complete = false;
    poll_fn(|cx| {
        match reply.request.drive(cx, &mut reply.client, caller) {
            Ok(true) => reply.moved(),
            Ok(false) => {}
            Err(fault) if fault.cause.source() == Source::Downstream => return Poll::Ready(Err(fault)),
            // An endpoint may answer without reading the request: its answer goes on.
            Err(_) => reply.request.give_up(),
        }
        if !complete {
            complete = answer(cx, reply, caller, facts)?.is_ready();
        }
        // One flush a turn, when no more can be done without waiting.
        let flushed = caller.poll_flush(cx)?.is_ready();
        let open = reply.is_tunnel() && !reply.request.is_over();
        if complete && flushed && !open {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(fault) = caller.poll_gone(cx) {
            return Poll::Ready(Err(fault));
        }
        reply.poll_deadline(cx, timer)
    })
    .await
}

/// Moves as much of the answer as there is and as there is room for; ready once it is complete.
fn answer<C: Caller>(
    cx: &mut Context<'_>,
    reply: &mut Reply,
    caller: &mut C,
    facts: &mut RequestRecord,
) -> Result<Poll<()>, Fault> {
    loop {
        if caller.poll_room(cx)?.is_pending() {
            return Ok(Poll::Pending);
        }
        match reply.client.poll_body(cx)? {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Piece::Data(data)) => {
                let count = data.len();
                caller.send_data(data);
                reply.client.consume(count);
                reply.moved();
            }
            Poll::Ready(Piece::End(trailers)) => {
                let status = trailers.and_then(grpc::status);
                caller.send_end(trailers);
                facts.ended(status);
                reply.ended(status);
                return Ok(Poll::Ready(()));
            }
        }
    }
}
