//! One request and its answer, from the decision to the record: the same for every version of HTTP.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mesh_http::{BodyLength, Known, RequestHead};
use tokio::time::Instant;

use super::attempt::{Attempts, Reply};
use super::caller::Caller;
use super::timer::Timer;
use super::{mirror, response, unprocessed};
use crate::conn::ConnInfo;
use crate::fault::{Cause, Fault, Flag, Step};
use crate::model::HttpConnection;
use crate::record::RequestRecord;
use crate::route::{self, Action, Answer, Decision};
use crate::worker::Worker;

/// Whose request it is and what it came over.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) conn: &'a Rc<ConnInfo>,
    pub(crate) http: &'a Arc<HttpConnection>,
}

/// Sees a request to its end: decides, sends on or answers, and records it, once. Returns when it was over.
pub(crate) async fn run<C: Caller>(
    call: &Call<'_>,
    head: &mut RequestHead,
    caller: &mut C,
    timer: &mut Timer,
) -> Instant {
    let mut facts = RequestRecord::begin(head);
    let grpc = head.is_grpc();
    let snapshot = call.worker.snapshot();
    let decision = route::decide(&call.worker.config, snapshot, call.conn, call.http, head).await;
    facts.decided(&decision);
    if let Some(delay) = decision.delay {
        facts.flags.insert(Flag::DelayInjected);
        if let Err(fault) = wait_out(delay, caller, timer).await {
            return finish(call, facts, head, caller, Some(fault));
        }
    }
    let fault = match &decision.action {
        Action::Answer(answer) => answer_here(call, &decision, answer.clone(), caller, &mut facts).await,
        Action::Forward(forward) => {
            let attempts = Attempts::new(call, &decision, forward, head, &mut facts);
            match attempts.run(caller, timer).await {
                Ok(mut reply) => {
                    let ended = pass_on(call, &decision, &mut reply, caller, timer, &mut facts).await;
                    mirror::copies(call, &decision, forward, head, &reply.request);
                    let now = facts.end();
                    facts.response = Some(reply.finish(ended.is_none(), now));
                    ended
                }
                Err(fault) if fault.status() == 0 => Some(fault),
                Err(fault) => {
                    let mut answer = Answer::of(fault.clone(), grpc, call.conn.kind);
                    unprocessed::mark(&mut answer.head, &fault, call.conn);
                    answer_here(call, &decision, answer, caller, &mut facts).await
                }
            }
        }
    };
    finish(call, facts, head, caller, fault)
}

/// Answers what is no request that could be decided.
pub(crate) async fn refuse<C: Caller>(call: &Call<'_>, head: &RequestHead, caller: &mut C, fault: Fault) {
    let mut facts = RequestRecord::begin(head);
    let answer = Answer::of(fault, false, call.conn.kind);
    let broken = send_answer(answer, caller, &mut facts).await;
    finish(call, facts, head, caller, broken);
}

/// An injected delay; the caller may go away meanwhile.
async fn wait_out<C: Caller>(delay: Duration, caller: &mut C, timer: &mut Timer) -> Result<(), Fault> {
    let until = Instant::now() + delay;
    poll_fn(|cx| {
        if let Poll::Ready(fault) = caller.poll_gone(cx) {
            return Poll::Ready(Err(fault));
        }
        timer.poll(cx, Some(until)).map(Ok)
    })
    .await
}

/// Answers in the endpoint's stead. Returns why that failed, if it did.
async fn answer_here<C: Caller>(
    call: &Call<'_>,
    decision: &Decision,
    mut answer: Answer,
    caller: &mut C,
    facts: &mut RequestRecord,
) -> Option<Fault> {
    decision.edit_response(call.conn, call.http, &mut answer.head);
    send_answer(answer, caller, facts).await
}

async fn send_answer<C: Caller>(mut answer: Answer, caller: &mut C, facts: &mut RequestRecord) -> Option<Fault> {
    facts.answered_here(&answer);
    // An answer to HEAD tells how long the body would have been.
    if !answer.body.is_empty() {
        answer.head.fields.set(Known::ContentLength, answer.body.len().to_string().as_bytes());
    }
    caller.send_head(&answer.head, BodyLength::Exact(answer.body.len() as u64));
    caller.send_data(&answer.body);
    caller.send_end(None);
    facts.response = Some(answer.head.into());
    poll_fn(|cx| caller.poll_flush(cx)).await.err()
}

/// Passes the endpoint's answer on. Returns why that failed, if it did.
async fn pass_on<C: Caller>(
    call: &Call<'_>,
    decision: &Decision,
    reply: &mut Reply,
    caller: &mut C,
    timer: &mut Timer,
    facts: &mut RequestRecord,
) -> Option<Fault> {
    facts.answered(&reply.head);
    if let Some(time) = facts.upstream_time {
        let mut digits = itoa::Buffer::new();
        reply.head.fields.set(Known::XEnvoyUpstreamServiceTime, digits.format(time.as_millis()).as_bytes());
    }
    decision.edit_response(call.conn, call.http, &mut reply.head);
    caller.send_head(&reply.head, reply.body());
    if reply.is_tunnel() {
        caller.become_tunnel();
    }
    let ended = response::relay(reply, caller, timer, facts).await;
    match ended {
        Ok(()) => None,
        Err(fault) => {
            caller.abort();
            Some(fault)
        }
    }
}

/// Records the request, and says when it was over. A failure after the head went out shows in the flags alone.
fn finish<C: Caller>(
    call: &Call<'_>,
    mut facts: RequestRecord,
    head: &RequestHead,
    caller: &mut C,
    fault: Option<Fault>,
) -> Instant {
    if let Some(fault) = fault {
        if fault.cause == Cause::DownstreamClosed {
            caller.abort();
        }
        facts.broke(&fault);
    }
    let (received, sent) = caller.body_bytes();
    facts.body_bytes(received, sent);
    let ended = facts.end();
    call.worker.recorder.request(call.conn, call.http, &facts, head);
    ended
}

/// The failure of an upstream that configuration names and does not have.
pub(super) fn no_cluster(name: &str) -> Fault {
    Fault::new(Cause::NoCluster, Step::Balance).because(format!("{name} does not exist"))
}
