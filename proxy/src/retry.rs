//! Which failures are tried again. Only what certainly was not processed is repeated without the user's word; everything
//! else is the route's retry policy.

use std::time::Duration;

use mesh_http::{RequestHead, ResponseHead};

use crate::fault::{Cause, Fault, Sent};
use crate::http::grpc;
use crate::model::{RetryOn, RetryPolicy};

/// What came of a try.
pub(crate) enum Tried<'a> {
    /// An answer.
    Answer(&'a ResponseHead),
    /// No answer.
    Fault(&'a Fault),
}

/// True if the policy asks for another try (Envoy's `retry_on`; a policy's limits are the caller's to count).
pub(crate) fn wants(policy: &RetryPolicy, tried: &Tried<'_>) -> bool {
    match tried {
        Tried::Answer(head) => answer_is_retriable(&policy.on, &policy.status_codes, head),
        Tried::Fault(fault) => fault_is_retriable(&policy.on, fault),
    }
}

fn answer_is_retriable(on: &RetryOn, codes: &[u16], head: &ResponseHead) -> bool {
    let status = head.status;
    if on.envoy_ratelimited && head.fields.get(b"x-envoy-ratelimited").is_some() {
        return true;
    }
    let by_status = on.five_xx && status >= 500
        || on.gateway_error && matches!(status, 502..=504)
        || on.retriable_4xx && status == 409
        || on.retriable_status_codes && codes.contains(&status);
    by_status || grpc::status(&head.fields).is_some_and(|status| grpc_is_retriable(on, status))
}

/// A gRPC failure without a body comes with its status among the header fields.
fn grpc_is_retriable(on: &RetryOn, status: u32) -> bool {
    match status {
        1 => on.grpc_cancelled,
        4 => on.grpc_deadline_exceeded,
        8 => on.grpc_resource_exhausted,
        13 => on.grpc_internal,
        14 => on.grpc_unavailable,
        _ => false,
    }
}

fn fault_is_retriable(on: &RetryOn, fault: &Fault) -> bool {
    let any = on.five_xx || on.gateway_error || on.reset;
    match fault.cause {
        Cause::ConnectFailure | Cause::ConnectTimeout | Cause::UpstreamTls => {
            any || on.connect_failure || on.reset_before_request
        }
        Cause::RefusedStream => any || on.refused_stream || on.reset_before_request,
        Cause::UpstreamClosed | Cause::UpstreamReset | Cause::UpstreamProtocol | Cause::PerTryTimeout => {
            any || on.reset_before_request && fault.sent == Sent::Nothing
        }
        _ => false,
    }
}

/// True if a request without an answer may be sent again, once, whatever the policy is: the endpoint said that it has not
/// begun to work on it (RFC 9113, section 8.7), or closed the connection before a byte of it came, or, on a connection
/// that was kept, closed it without answering what does no harm. An idle time-out does that all day (P08).
pub(crate) fn is_harmless(fault: &Fault, reused: bool) -> bool {
    match fault.cause {
        Cause::RefusedStream => fault.sent == Sent::Nothing,
        Cause::UpstreamClosed => fault.sent == Sent::Nothing || fault.sent == Sent::Harmless && reused,
        _ => false,
    }
}

/// True if the application does not mind the same request twice (RFC 9110, section 9.2.1).
pub(crate) fn is_harmless_request(head: &RequestHead) -> bool {
    let safe = matches!(head.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
    safe && head.body.is_empty() && !head.upgrade
}

/// The wait before try number `attempt` (the first retry is 1): full jitter over a doubling ceiling.
pub(crate) fn pause(policy: &RetryPolicy, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let ceiling = policy.base_interval.saturating_mul(1 << doublings).min(policy.max_interval);
    ceiling.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Step;

    fn policy(on: RetryOn) -> RetryPolicy {
        RetryPolicy {
            on,
            status_codes: Vec::new(),
            attempts: 2,
            per_try_timeout: None,
            base_interval: Duration::from_millis(25),
            max_interval: Duration::from_millis(250),
            other_hosts: true,
            host_attempts: 5,
            other_priorities: false,
        }
    }

    /// What Istio asks for unless told otherwise.
    fn istio() -> RetryPolicy {
        policy(RetryOn {
            connect_failure: true,
            refused_stream: true,
            grpc_unavailable: true,
            grpc_cancelled: true,
            retriable_status_codes: true,
            ..RetryOn::default()
        })
    }

    fn answer(status: u16, grpc: Option<&str>) -> ResponseHead {
        let mut head = ResponseHead { status, ..ResponseHead::default() };
        grpc.into_iter().for_each(|grpc| head.fields.append(b"grpc-status", grpc.as_bytes()));
        head
    }

    #[test]
    fn istios_default_policy() {
        let answers = [(503, None, false), (500, None, false), (200, Some("14"), true), (200, Some("0"), false)];
        for (status, grpc, want) in answers {
            assert_eq!(wants(&istio(), &Tried::Answer(&answer(status, grpc))), want, "{status} {grpc:?}");
        }
        let faults = [
            (Cause::ConnectFailure, true),
            (Cause::RefusedStream, true),
            (Cause::UpstreamClosed, false),
            (Cause::Overflow, false),
            (Cause::ResponseTimeout, false),
        ];
        for (cause, want) in faults {
            assert_eq!(wants(&istio(), &Tried::Fault(&Fault::new(cause, Step::Forward))), want, "{cause:?}");
        }
    }

    #[test]
    fn only_what_does_no_harm_is_sent_again_without_a_word() {
        let closed = |sent| Fault { sent, ..Fault::new(Cause::UpstreamClosed, Step::Forward) };
        let cases = [
            (Sent::Nothing, true, true),
            (Sent::Nothing, false, true),
            (Sent::Harmless, true, true),
            (Sent::Harmless, false, false),
            (Sent::Perhaps, true, false),
        ];
        for (sent, reused, want) in cases {
            assert_eq!(is_harmless(&closed(sent), reused), want, "{sent:?} {reused}");
        }
        let mut head = RequestHead::default();
        for (method, want) in [("GET", true), ("HEAD", true), ("POST", false), ("DELETE", false)] {
            head.set_method(method.as_bytes());
            assert_eq!(is_harmless_request(&head), want, "{method}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_ceiling() {
        assert!((0..100).all(|_| pause(&istio(), 1) <= Duration::from_millis(25)));
        assert!((0..100).all(|_| pause(&istio(), 60) <= Duration::from_millis(250)));
    }
}
