//! What is done with a request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use mesh_http::{BodyLength, ResponseHead};
use mesh_types::Name;

use crate::fault::{Fault, Flag};
use crate::model::{Destination, ListenerKind, RetryPolicy, Route, RouteConfig, Snapshot, VirtualHost};

/// A request's fate, with what it was read from. All edits of the request are made when it is decided.
pub struct Decision {
    /// The configuration that decided; the request keeps it to its end.
    pub snapshot: Arc<Snapshot>,
    /// The route configuration that it was looked up in.
    pub(super) routes: Option<Arc<RouteConfig>>,
    /// The route that took it.
    pub route: Option<Arc<Route>>,
    /// The virtual host of that route.
    pub host: Option<Arc<VirtualHost>>,
    /// Whether an AUDIT policy matched, if there are any.
    pub audited: Option<bool>,
    /// Injected delay before anything else is done.
    pub delay: Option<Duration>,
    /// What is done.
    pub action: Action,
    /// What is to be added to the response beside the configured edits, such as a cookie for consistent hashing or the
    /// fields of CORS.
    pub(super) response_fields: Vec<(&'static str, String)>,
    /// The chosen entry of the route's weighted clusters.
    pub(super) weighted: usize,
}

/// What is done.
pub enum Action {
    /// It is sent on.
    Forward(Forward),
    /// It is answered here; a refusal is an answer too.
    Answer(Answer),
}

/// Where a request goes and on what terms.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The cluster.
    pub destination: Destination,
    /// For consistent hashing.
    pub hash: Option<u64>,
    /// For the whole response, from the end of the request.
    pub timeout: Option<Duration>,
    /// Longest silence, over the connection's.
    pub idle_timeout: Option<Duration>,
    /// Whether and when it is tried again.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Clusters that get a copy, and whether its authority says so.
    pub mirrors: Vec<(Name, bool)>,
    /// The authority becomes the chosen endpoint's host name.
    pub host_from_endpoint: bool,
    /// It may switch protocols.
    pub upgrade: bool,
    /// The application is told which try this is.
    pub attempt_count: bool,
}

/// An answer of our own.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status and fields.
    pub head: ResponseHead,
    /// Body.
    pub body: Arc<[u8]>,
    /// Why, if something went wrong.
    pub fault: Option<Fault>,
    /// Envoy's response code details.
    pub details: Cow<'static, str>,
    /// Envoy's response flag.
    pub flag: Option<Flag>,
}

impl Answer {
    /// An answer of this status.
    pub fn new(status: u16, body: Arc<[u8]>, details: &'static str) -> Self {
        let mut head = ResponseHead { status, body: BodyLength::Exact(body.len() as u64), ..ResponseHead::default() };
        if !body.is_empty() {
            head.fields.append(b"content-type", b"text/plain");
        }
        Self { head, body, fault: None, details: Cow::Borrowed(details), flag: None }
    }

    /// The answer to a failure. gRPC callers get their status in fields and an HTTP status of 200 (as gRPC's
    /// specification of HTTP/2 asks); others get Envoy's status and words.
    ///
    /// The reason is told to the application beside us (`kind` is outbound); strangers are told no more than Envoy tells.
    pub fn of(fault: Fault, grpc: bool, kind: ListenerKind) -> Self {
        let (details, flag) = (fault.details(), fault.flag());
        let body = match kind {
            ListenerKind::Outbound => fault.body(),
            _ => fault.cause.answer().body.to_owned(),
        };
        let mut answer = if grpc {
            let mut answer = Self::new(200, Arc::default(), "");
            answer.head.fields.append(b"content-type", b"application/grpc");
            answer.head.fields.append(b"grpc-status", fault.grpc_status().to_string().as_bytes());
            if !body.is_empty() {
                answer.head.fields.append(b"grpc-message", percent_encoded(&body).as_bytes());
            }
            answer
        } else {
            Self::new(fault.status(), body.into_bytes().into(), "")
        };
        if fault.cause == crate::fault::Cause::Overflow {
            answer.head.fields.append(b"x-envoy-overloaded", b"true");
        }
        (answer.details, answer.flag, answer.fault) = (details, flag, Some(fault));
        answer
    }
}

/// `grpc-message` is percent-encoded: space to tilde, without the percent sign, go as they are.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|half| char::from(b"0123456789ABCDEF"[usize::from(half)])));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Cause, Step};

    #[test]
    fn failures_are_told_in_the_callers_protocol() {
        let fault = Fault::new(Cause::NoHealthyUpstream, Step::Balance).because("c has no endpoints");
        let plain = Answer::of(fault.clone(), false, ListenerKind::Outbound);
        assert_eq!((plain.head.status, &*plain.body), (503, &b"no healthy upstream: c has no endpoints"[..]));
        let stranger = Answer::of(fault.clone(), false, ListenerKind::Gateway);
        assert_eq!(&*stranger.body, b"no healthy upstream");
        let grpc = Answer::of(fault, true, ListenerKind::Outbound);
        assert_eq!((grpc.head.status, grpc.body.len()), (200, 0));
        assert_eq!(grpc.head.fields.get(b"grpc-status"), Some(&b"14"[..]));
        assert_eq!(percent_encoded("50% ü"), "50%25 %C3%BC");
    }
}
