//! What is known of a request when it is over.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mesh_http::{RequestHead, ResponseHead, Version};
use tokio::time::Instant;

use crate::fault::{Fault, Flag, Flags};
use crate::http::{grpc, lent::Lent};
use crate::model::{Destination, Endpoint, Route};
use crate::route::{Action, Answer, Decision};
use crate::upstream::Pick;

/// A request from its head to its end. Filled in on the way, read once.
#[derive(Debug)]
pub struct RequestRecord {
    /// When its head was complete.
    pub began: Instant,
    /// The same, on the wall.
    pub time: SystemTime,
    /// Version of HTTP that the caller speaks.
    pub version: Version,
    /// It is a gRPC request.
    pub grpc: bool,
    /// Whether an AUDIT policy matched, if there are any.
    pub audited: Option<bool>,
    /// The route that took it.
    pub route: Option<Arc<Route>>,
    /// The cluster that it went to, or would have.
    pub destination: Option<Destination>,
    /// The endpoint of the last try.
    pub endpoint: Option<Arc<Endpoint>>,
    /// Our address on the last try's connection.
    pub upstream_local: Option<SocketAddr>,
    /// The last try went over mutual TLS.
    pub upstream_mtls: bool,
    /// Tries.
    pub attempts: u32,
    /// Status of the answer; 0 if there was none.
    pub status: u16,
    /// `grpc-status` of the answer, from its fields or trailers.
    pub grpc_status: Option<u32>,
    /// What went wrong, in Envoy's flags.
    pub flags: Flags,
    /// Envoy's response code details.
    pub details: Cow<'static, str>,
    /// Why the connection to the endpoint failed, for people.
    pub upstream_failure: Option<Box<str>>,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// From the head of the request to the head of the endpoint's answer.
    pub upstream_time: Option<Duration>,
    /// The head of the answer, once that was sent.
    pub response: Option<Lent<ResponseHead>>,
    /// When it was over.
    pub ended: Option<Instant>,
}

impl RequestRecord {
    /// The record of a request whose head has just been read.
    pub fn begin(head: &RequestHead) -> Self {
        Self {
            began: Instant::now(),
            time: SystemTime::now(),
            version: head.version,
            grpc: head.is_grpc(),
            audited: None,
            route: None,
            destination: None,
            endpoint: None,
            upstream_local: None,
            upstream_mtls: false,
            attempts: 0,
            status: 0,
            grpc_status: None,
            flags: Flags::default(),
            details: Cow::Borrowed("-"),
            upstream_failure: None,
            received: 0,
            sent: 0,
            upstream_time: None,
            response: None,
            ended: None,
        }
    }

    /// What was decided.
    pub fn decided(&mut self, decision: &Decision) {
        self.route = decision.route.clone();
        self.audited = decision.audited;
        if let Action::Forward(forward) = &decision.action {
            self.destination = Some(forward.destination.clone());
        }
    }

    /// A try goes to this endpoint.
    pub fn tries(&mut self, pick: &Pick) {
        self.attempts += 1;
        self.endpoint = Some(pick.endpoint().clone());
    }

    /// It goes over a connection with this address of ours, under TLS or not.
    pub fn connected(&mut self, local: Option<SocketAddr>, tls: bool) {
        self.upstream_local = local;
        self.upstream_mtls = tls && self.endpoint.as_ref().is_some_and(|endpoint| endpoint.mtls);
    }

    /// The endpoint's answer has begun.
    pub fn answered(&mut self, head: &ResponseHead) {
        self.status = head.status;
        self.details = Cow::Borrowed("via_upstream");
        self.upstream_time = Some(self.began.elapsed());
        self.grpc_status = grpc::status(&head.fields);
    }

    /// The endpoint's answer ended, with this status of gRPC in its trailers if there was one.
    pub fn ended(&mut self, status: Option<u32>) {
        self.grpc_status = status.or(self.grpc_status);
    }

    /// An answer of our own.
    pub fn answered_here(&mut self, answer: &Answer) {
        self.status = answer.head.status;
        self.details = answer.details.clone();
        self.grpc_status = grpc::status(&answer.head.fields);
        if let Some(flag) = answer.flag {
            self.flags.insert(flag);
        }
        if let Some(fault) = &answer.fault
            && fault.cause.is_reset()
            && !fault.reason.is_empty()
        {
            self.upstream_failure = Some(fault.reason.as_ref().into());
        }
    }

    /// The answer could not be completed.
    pub fn broke(&mut self, fault: &Fault) {
        self.details = fault.details();
        if let Some(flag) = fault.flag() {
            self.flags.insert(flag);
        }
    }

    /// No further try was allowed.
    pub fn out_of_tries(&mut self) {
        self.flags.insert(Flag::UpstreamRetryLimit);
    }

    /// It is over; says since when.
    pub fn end(&mut self) -> Instant {
        *self.ended.get_or_insert_with(Instant::now)
    }

    /// Sizes of the bodies.
    pub fn body_bytes(&mut self, received: u64, sent: u64) {
        (self.received, self.sent) = (received, sent);
    }
}
