//! What bounds the time of a request.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::timer::{Timer, earlier};
use crate::fault::Cause;
use crate::model::HttpConnection;
use crate::route::Forward;

/// The limits of a request, and when they are reached.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// For the whole, from the end of the request.
    whole: Option<Duration>,
    whole_deadline: Option<Instant>,
    /// For one try, from the end of the request.
    one: Option<Duration>,
    one_deadline: Option<Instant>,
    /// For silence.
    idle: Option<Duration>,
    idle_deadline: Option<Instant>,
    /// The present, read once while nothing is waited for.
    present: Option<Instant>,
}

impl Limits {
    /// Those of a route; zero is none.
    pub(super) fn of(forward: &Forward, http: &HttpConnection) -> Self {
        let set = |timeout: Option<Duration>| timeout.filter(|timeout| !timeout.is_zero());
        Self {
            whole: set(forward.timeout),
            whole_deadline: None,
            one: forward.retry.as_ref().and_then(|policy| policy.per_try_timeout),
            one_deadline: None,
            idle: set(forward.idle_timeout.or(http.stream_idle_timeout)),
            idle_deadline: None,
            present: None,
        }
    }

    /// When time is up for the whole, once the request was read.
    pub(super) fn end(&self) -> Option<Instant> {
        self.whole_deadline
    }

    /// A try begins: the clock of the last one stops.
    pub(super) fn another_try(&mut self) {
        self.one_deadline = None;
    }

    /// What bounds the answer's body: no try any more.
    pub(super) fn of_answer(self) -> Self {
        Self { one: None, one_deadline: None, present: None, ..self }
    }

    /// The clocks of the answer start with the end of the request.
    pub(super) fn request_is_read(&mut self) {
        self.whole_deadline = self.whole_deadline.or_else(|| self.whole.map(|limit| self.now() + limit));
        self.one_deadline = self.one_deadline.or_else(|| self.one.map(|limit| self.now() + limit));
    }

    fn now(&mut self) -> Instant {
        *self.present.get_or_insert_with(Instant::now)
    }

    /// Something moved.
    pub(super) fn moved(&mut self) {
        self.idle_deadline = None;
    }

    /// Ready with what ran out.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, timer: &mut Timer, reading: bool) -> Poll<Cause> {
        self.idle_deadline = self.idle_deadline.or_else(|| self.idle.map(|limit| self.now() + limit));
        self.present = None;
        let nearest = earlier(self.whole_deadline, earlier(self.one_deadline, self.idle_deadline));
        ready!(timer.poll(cx, nearest));
        Poll::Ready(match nearest {
            whole if whole == self.whole_deadline => Cause::ResponseTimeout,
            one if one == self.one_deadline => Cause::PerTryTimeout,
            _ if reading => Cause::RequestIdle,
            _ => Cause::StreamIdle,
        })
    }
}
