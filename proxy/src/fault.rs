//! What can go wrong with a request, as one typed failure, and the one table that turns it into an answer.
//!
//! A [`Fault`] says what happened, at which step of the walk, and whether bytes can have reached the application: only
//! what certainly did not may be sent again without the user's word. *Fault injection* is something else and always
//! written in full.

mod cause;
mod flags;

use std::borrow::Cow;
use std::fmt;

pub use cause::{Answer, Cause, Source};
pub use flags::{Flag, Flags};

/// One failure of a request or a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub cause: Cause,
    /// Where on its way the request was.
    pub step: Step,
    /// Whether bytes of it can have reached the application.
    pub sent: Sent,
    /// The particulars, for people: an operating system's error, the name of a policy, the user's object. May be empty.
    pub reason: Cow<'static, str>,
}

/// The steps of the walk, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The connection was taken and looked at.
    Accept,
    /// The request was read.
    Read,
    /// Its permission was looked up.
    Authorise,
    /// Its route was looked up.
    Route,
    /// An endpoint was chosen.
    Balance,
    /// A connection to the endpoint was waited for.
    Connect,
    /// The request was sent and its answer awaited.
    Forward,
    /// The answer was passed on.
    Respond,
}

/// Whether bytes of a request can have reached the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Certainly not: it may be sent elsewhere.
    Nothing,
    /// They can have, and the connection closed before a byte of answer; but to send the request again does no harm, by
    /// the meaning of its method (RFC 9110, section 9.2.1).
    Harmless,
    /// They can have.
    Perhaps,
}

impl Fault {
    /// A failure before anything was sent.
    pub fn new(cause: Cause, step: Step) -> Self {
        Self { cause, step, sent: Sent::Nothing, reason: Cow::Borrowed("") }
    }

    /// A failure after the request, or some of it, was sent.
    pub fn after_sending(cause: Cause, step: Step) -> Self {
        Self { sent: Sent::Perhaps, ..Self::new(cause, step) }
    }

    /// The same with its particulars.
    #[must_use]
    pub fn because(self, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into(), ..self }
    }

    /// HTTP status of the answer; 0 if nobody is there to be answered.
    pub fn status(&self) -> u16 {
        self.cause.answer().status
    }

    /// gRPC status of the answer, for gRPC requests.
    pub fn grpc_status(&self) -> u32 {
        self.cause.answer().grpc
    }

    /// Envoy's response flag.
    pub fn flag(&self) -> Option<Flag> {
        self.cause.answer().flag
    }

    /// Envoy's response code details, with the particulars where Envoy has them.
    pub fn details(&self) -> Cow<'static, str> {
        let details = self.cause.answer().details;
        match (&self.cause, self.reason.is_empty()) {
            (_, true) => Cow::Borrowed(details),
            (Cause::Denied, false) => Cow::Owned(format!("{details}_matched_policy[{}]", self.reason)),
            (cause, false) if cause.is_reset() => {
                let inside = details.strip_suffix('}').unwrap_or(details);
                Cow::Owned(format!("{inside}|{}}}", words(&self.reason)))
            }
            (_, false) => Cow::Borrowed(details),
        }
    }

    /// The body of the answer, in Envoy's words, with the reason where it helps whoever called.
    pub fn body(&self) -> String {
        let body = self.cause.answer().body;
        match (body, &*self.reason) {
            (body, "") => body.to_owned(),
            (body, _) if self.cause == Cause::Denied => body.to_owned(),
            ("", reason) => reason.to_owned(),
            (body, reason) => format!("{body}: {reason}"),
        }
    }
}

/// Details hold no spaces, as Envoy writes them into access logs.
fn words(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join("_")
}

impl fmt::Display for Fault {
    /// For logs: `connect: connection failure: connection refused`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.cause.answer().details)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Read => "read",
            Self::Authorise => "authorise",
            Self::Route => "route",
            Self::Balance => "balance",
            Self::Connect => "connect",
            Self::Forward => "forward",
            Self::Respond => "respond",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_envoys() {
        let refused = Fault::new(Cause::ConnectFailure, Step::Connect).because("connection refused");
        assert_eq!(
            refused.details(),
            "upstream_reset_before_response_started{remote_connection_failure|connection_refused}"
        );
        assert_eq!(
            (refused.status(), refused.grpc_status(), refused.flag()),
            (503, 14, Some(Flag::UpstreamConnection))
        );
        let denied = Fault::new(Cause::Denied, Step::Authorise).because("ns[foo]-policy[bar]-rule[0]");
        assert_eq!(denied.details(), "rbac_access_denied_matched_policy[ns[foo]-policy[bar]-rule[0]]");
        assert_eq!(denied.body(), "RBAC: access denied");
        assert_eq!(Fault::new(Cause::Denied, Step::Authorise).details(), "rbac_access_denied");
    }

    #[test]
    fn what_was_not_sent_may_be_sent_again() {
        assert_eq!(Fault::new(Cause::Overflow, Step::Balance).sent, Sent::Nothing);
        assert_eq!(Fault::after_sending(Cause::UpstreamClosed, Step::Forward).sent, Sent::Perhaps);
    }
}
