//! Tries: the one loop of an exchange. Each try chooses an endpoint, takes a connection, sends the request and waits for
//! the head of the answer; what failed is tried again if it may be.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use mesh_http::{BodyLength, Known, RequestHead, ResponseHead, Version};
use tokio::time::Instant;

use super::caller::Caller;
use super::exchange::{Call, no_cluster};
use super::grpc;
use super::lent::Lent;
use super::limits::Limits;
use super::reach::reach;
use super::request::Outgoing;
use super::timer::Timer;
use super::{unprocessed, websocket};
use crate::fault::{Cause, Fault, Sent, Source, Step};
use crate::model::{ListenerKind, RetryPolicy, UpstreamProtocol};
use crate::pool::{self, Client, Reuse};
use crate::record::{RequestRecord, peer};
use crate::retry::{self, Tried};
use crate::route::{Decision, Forward};
use crate::upstream::{Outcome, Permit, Pick, PickContext, Upstream};

/// A request that is being sent on.
pub(super) struct Attempts<'a> {
    call: &'a Call<'a>,
    decision: &'a Decision,
    forward: &'a Forward,
    head: &'a mut RequestHead,
    record: &'a mut RequestRecord,
    outgoing: Outgoing,
    limits: Limits,
}

/// The answer of an endpoint, its body still to come.
pub(crate) struct Reply {
    pub(super) head: Lent<ResponseHead>,
    pub(super) client: Client,
    pub(super) request: Outgoing,
    pick: Pick,
    /// The endpoint was judged by the head.
    judged: bool,
    limits: Limits,
    tunnel: bool,
    _request: Permit,
    _retry: Option<Permit>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(
        call: &'a Call<'a>,
        decision: &'a Decision,
        forward: &'a Forward,
        head: &'a mut RequestHead,
        record: &'a mut RequestRecord,
    ) -> Self {
        let limits = Limits::of(forward, call.http);
        let needed = forward.retry.is_some() || !forward.mirrors.is_empty();
        let outgoing = if head.upgrade { Outgoing::once() } else { Outgoing::kept(needed) };
        Self { call, decision, forward, head, record, outgoing, limits }
    }

    /// Tries until there is an answer to be passed on, or a failure that is final.
    pub(super) async fn run<C: Caller>(mut self, caller: &mut C, timer: &mut Timer) -> Result<Reply, Fault> {
        let worker = self.call.worker;
        let destination = &self.forward.destination;
        let cluster = destination.cluster().ok_or_else(|| no_cluster(destination.name()))?;
        let upstream = worker.upstreams.get(&self.decision.snapshot, cluster);
        upstream.ready().await?;
        let overflow = || Fault::new(Cause::Overflow, Step::Balance).because("too many requests (max_requests)");
        let request = upstream.breakers().try_request().ok_or_else(overflow)?;
        let mut retries =
            Retries { left: self.forward.retry.as_ref().map_or(0, |policy| policy.attempts), ..Retries::default() };
        loop {
            match self.once(&upstream, &retries, caller, timer).await {
                Ok(mut answered) => {
                    // The proxy over there could not hand the request over: another may.
                    let unprocessed = unprocessed::take(&mut answered.head) && answered.pick.endpoint().mtls;
                    if unprocessed && self.replays(&mut retries) {
                        retries.tried.push(answered.pick.endpoint().address);
                        continue;
                    }
                    if !self.again(&upstream, &mut retries, &Tried::Answer(&answered.head), caller, timer).await {
                        return Ok(self.reply(answered, request, retries.permit));
                    }
                }
                Err(Failure { reused, fault }) => {
                    if retry::is_harmless(&fault, reused) && self.replays(&mut retries) {
                        continue;
                    }
                    if !self.again(&upstream, &mut retries, &Tried::Fault(&fault), caller, timer).await {
                        return Err(retries.told(fault));
                    }
                }
            }
        }
    }

    /// True, once, if the request can be sent again without anybody's word.
    fn replays(&self, retries: &mut Retries) -> bool {
        self.outgoing.can_repeat() && !std::mem::replace(&mut retries.replayed, true)
    }

    /// True, after a pause, if there is to be another try.
    async fn again<C: Caller>(
        &mut self,
        upstream: &Rc<Upstream>,
        retries: &mut Retries,
        tried: &Tried<'_>,
        caller: &mut C,
        timer: &mut Timer,
    ) -> bool {
        let Some(policy) = &self.forward.retry else { return false };
        if !retry::wants(policy, tried) || !self.outgoing.can_repeat() {
            return false;
        }
        if retries.left == 0 {
            self.record.out_of_tries();
            return false;
        }
        retries.permit = None;
        let Some(permit) = upstream.breakers().try_retry() else {
            self.record.flags.insert(crate::fault::Flag::UpstreamOverflow);
            return false;
        };
        retries.permit = Some(permit);
        retries.left -= 1;
        retries.made += 1;
        if policy.other_hosts
            && let Some(endpoint) = &self.record.endpoint
        {
            retries.tried.push(endpoint.address);
        }
        self.pause(policy, retries.made, caller, timer).await
    }

    /// False if time is up, or the caller gone, before the pause is over.
    async fn pause<C: Caller>(&self, policy: &RetryPolicy, made: u32, caller: &mut C, timer: &mut Timer) -> bool {
        let until = Instant::now() + retry::pause(policy, made);
        if self.limits.end().is_some_and(|deadline| deadline <= until) {
            return false;
        }
        poll_fn(|cx| {
            if caller.poll_gone(cx).is_ready() {
                return Poll::Ready(false);
            }
            timer.poll(cx, Some(until)).map(|()| true)
        })
        .await
    }

    /// One try, to the head of the answer.
    async fn once<C: Caller>(
        &mut self,
        upstream: &Rc<Upstream>,
        retries: &Retries,
        caller: &mut C,
        timer: &mut Timer,
    ) -> Result<Answered, Failure> {
        let context = PickContext {
            hash: self.forward.hash,
            original_destination: Some(self.call.conn.destination),
            tried: &retries.tried,
        };
        let first = upstream.pick(&context)?;
        let another = |first: &Pick| {
            let tried = [&retries.tried[..], &[first.endpoint().address]].concat();
            let second = upstream.pick(&PickContext { tried: &tried, ..context }).ok();
            second.filter(|second| second.endpoint().address != first.endpoint().address)
        };
        let reuse = retries.reuse(self.head);
        let (pick, reached) = match self.ready(&first, reuse) {
            Some(client) => (first, Ok(client)),
            // Apart, since requests that find a connection should not carry the making of one with them.
            None => Box::pin(reach(first, another, async |pick| self.connection(pick, reuse).await)).await,
        };
        self.record.tries(&pick);
        self.address(&pick);
        let mut client = match reached {
            Ok(client) => client,
            Err(fault) => {
                pick.unreached(&fault);
                return Err(fault.into());
            }
        };
        let (local, tls) = client.local();
        self.record.connected(local, tls);
        self.introduce(&pick, &client);
        client.send_head(self.head, self.head.body);
        self.outgoing.rewind();
        self.limits.another_try();
        let mut head = Lent::new();
        match poll_fn(|cx| self.poll_answer(cx, &mut client, &mut head, caller, timer)).await {
            Ok(()) => {
                let outcome = outcome(self.head, &head);
                if let Some(status) = outcome {
                    pick.report(Outcome::Answer(status));
                }
                Ok(Answered { head, client, pick, judged: outcome.is_some() })
            }
            Err(fault) => {
                let fault = Box::pin(self.weigh(fault, &client)).await;
                // To close an idle connection is no failure of the endpoint.
                if fault.cause.source() == Source::Upstream && fault.sent != Sent::Nothing {
                    pick.report(Outcome::LocalFailure);
                }
                Err(Failure { reused: client.is_reused(), fault })
            }
        }
    }

    /// A failure with what is known of how far the request came.
    async fn weigh(&self, fault: Fault, client: &Client) -> Fault {
        if fault.cause != Cause::UpstreamClosed || client.has_answered() {
            return fault;
        }
        let beside = self.call.conn.kind == ListenerKind::Inbound;
        let sent = match retry::is_harmless_request(self.head) {
            true => Sent::Harmless,
            false if client.is_unread(beside).await => Sent::Nothing,
            false => fault.sent,
        };
        Fault { sent, ..fault }
    }

    /// What only the chosen endpoint, or the number of the try, tells.
    fn address(&mut self, pick: &Pick) {
        websocket::complete_request(self.head);
        if self.forward.host_from_endpoint
            && let Some(host) = &pick.endpoint().hostname
        {
            self.head.set_authority(host.as_bytes());
        }
        if self.forward.attempt_count {
            self.head
                .fields
                .set(Known::XEnvoyAttemptCount, itoa::Buffer::new().format(self.record.attempts).as_bytes());
        }
    }

    /// Tells who calls, where the request goes to a proxy of the mesh over mutual TLS that was not told on this
    /// connection: it remembers.
    fn introduce(&mut self, pick: &Pick, client: &Client) {
        if pick.endpoint().mtls && self.call.conn.kind != ListenerKind::Inbound && !client.is_introduced() {
            self.call.worker.recorder.introduction.add(self.head);
        } else if self.record.attempts > 1 {
            peer::remove(self.head);
        }
    }

    /// A connection that is there, as most find one.
    fn ready(&self, pick: &Pick, reuse: Reuse) -> Option<Client> {
        if self.head.upgrade { None } else { pool::ready(pick, self.speaks_http2(pick), reuse) }
    }

    fn speaks_http2(&self, pick: &Pick) -> bool {
        match pick.upstream().config.http.protocol {
            UpstreamProtocol::Http1 => false,
            UpstreamProtocol::Http2 => true,
            UpstreamProtocol::Downstream => self.head.version == Version::Http2,
        }
    }

    async fn connection(&self, pick: &Pick, reuse: Reuse) -> Result<Client, Fault> {
        let http2 = self.speaks_http2(pick);
        let waited = async {
            let client =
                pool::client(self.call.worker, &self.decision.snapshot, self.call.conn, pick, http2, reuse).await?;
            if self.head.upgrade {
                client.prepare_upgrade().await?;
            }
            Ok(client)
        };
        match self.limits.end() {
            None => waited.await,
            Some(deadline) => tokio::time::timeout_at(deadline, waited)
                .await
                .unwrap_or_else(|_| Err(Fault::new(Cause::ResponseTimeout, Step::Connect))),
        }
    }

    fn poll_answer<C: Caller>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
        head: &mut Lent<ResponseHead>,
        caller: &mut C,
        timer: &mut Timer,
    ) -> Poll<Result<(), Fault>> {
        let mut broken = None;
        match self.outgoing.drive(cx, client, caller) {
            Ok(true) => self.limits.moved(),
            Ok(false) => {}
            Err(fault) if fault.cause.source() == Source::Downstream => return Poll::Ready(Err(fault)),
            Err(fault) => {
                // An endpoint that does not read may still have answered.
                self.outgoing.give_up();
                broken = Some(fault);
            }
        }
        if self.outgoing.is_over() {
            self.limits.request_is_read();
        }
        while let Poll::Ready(()) = client.poll_head(cx, head)? {
            match head.status {
                // What follows it is not HTTP: the caller would not know.
                101 if !self.head.upgrade => {
                    let fault = Fault::after_sending(Cause::UpstreamProtocol, Step::Respond);
                    return Poll::Ready(Err(fault.because("an upgrade that nobody asked for")));
                }
                101 | 200.. => return Poll::Ready(Ok(())),
                // The caller was told to go on already.
                100 => {}
                _ => caller.send_interim(head),
            }
        }
        if let Some(fault) = broken {
            return Poll::Ready(Err(fault));
        }
        if let Poll::Ready(Err(fault)) = caller.poll_flush(cx) {
            return Poll::Ready(Err(fault));
        }
        if let Poll::Ready(fault) = caller.poll_gone(cx) {
            return Poll::Ready(Err(fault));
        }
        let cause = ready!(self.limits.poll(cx, timer, !self.outgoing.is_read()));
        Poll::Ready(Err(Fault::after_sending(cause, Step::Forward)))
    }

    fn reply(self, answered: Answered, request: Permit, retry: Option<Permit>) -> Reply {
        let Answered { mut head, mut client, pick, judged } = answered;
        websocket::complete_response(self.head, &mut head);
        let tunnel = match head.status {
            101 => self.head.upgrade,
            200..=299 => self.head.method() == b"CONNECT",
            _ => false,
        };
        let mut outgoing = self.outgoing;
        if self.forward.mirrors.is_empty() {
            outgoing.forget();
        }
        if tunnel {
            client.become_tunnel();
            outgoing = Outgoing::once();
        }
        let limits = self.limits.of_answer();
        Reply { head, client, request: outgoing, pick, judged, limits, tunnel, _request: request, _retry: retry }
    }
}

/// Tries after the first.
#[derive(Default)]
struct Retries {
    left: u32,
    made: u32,
    tried: Vec<SocketAddr>,
    /// The request was sent again because it had certainly not been processed, or does no harm.
    replayed: bool,
    permit: Option<Permit>,
}

impl Retries {
    /// What was lost on a connection that had been kept is not trusted to another.
    fn reuse(&self, head: &RequestHead) -> Reuse {
        match self.replayed {
            true => Reuse::Never,
            false if retry::is_harmless_request(head) => Reuse::Any,
            false => Reuse::Young,
        }
    }

    /// The last failure as others are told of it: what was sent twice may not be sent a third time.
    fn told(&self, fault: Fault) -> Fault {
        let sent = if self.replayed && fault.sent == Sent::Harmless { Sent::Perhaps } else { fault.sent };
        Fault { sent, ..fault }
    }
}

struct Answered {
    head: Lent<ResponseHead>,
    client: Client,
    pick: Pick,
    judged: bool,
}

/// The status by which the endpoint is judged; `None` while a gRPC call's is still to come, in trailers.
fn outcome(request: &RequestHead, answer: &ResponseHead) -> Option<u16> {
    if !request.is_grpc() || answer.status != 200 {
        return Some(answer.status);
    }
    match grpc::status(&answer.fields) {
        Some(status) => Some(grpc::as_http(status)),
        None => (answer.body == BodyLength::Empty).then_some(answer.status),
    }
}

struct Failure {
    fault: Fault,
    reused: bool,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, reused: false }
    }
}

impl Reply {
    /// True if the answer ends HTTP on this connection.
    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel
    }

    /// How long the answer's body will be.
    pub(super) fn body(&self) -> BodyLength {
        self.head.body
    }

    /// Something moved.
    pub(super) fn moved(&mut self) {
        self.limits.moved();
    }

    /// The answer ended, with this status in its trailers if there was one: a gRPC call is judged by it.
    pub(super) fn ended(&mut self, status: Option<u32>) {
        if !std::mem::replace(&mut self.judged, true) {
            let status = status.map_or(self.head.status, grpc::as_http);
            self.pick.report(Outcome::Answer(status));
        }
    }

    /// Ready with the failure if time is up.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>, timer: &mut Timer) -> Poll<Result<(), Fault>> {
        let cause = ready!(self.limits.poll(cx, timer, false));
        Poll::Ready(Err(Fault::after_sending(cause, Step::Respond)))
    }

    /// Keeps the connection for the next request, if the answer is `complete` and it can carry one. What is left is the
    /// answer's head.
    pub(super) fn finish(self, complete: bool, now: Instant) -> Lent<ResponseHead> {
        if complete {
            self.client.give_back(&self.pick, now);
        }
        self.head
    }
}
