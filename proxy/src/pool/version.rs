//! A client of either version of HTTP.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use mesh_http::{BodyLength, Fields, RequestHead, ResponseHead};
use tokio::time::Instant;

use super::Client;
use crate::fault::{Cause, Fault, Step};
use crate::http::body::Piece;
use crate::http::lent::Lent;
use crate::upstream::Pick;

impl Client {
    /// True if an earlier request was served on the connection: it may have been closed in the meantime.
    pub(crate) fn is_reused(&self) -> bool {
        match self {
            Self::Http1(client) => client.is_reused(),
            Self::Http2(_) => true,
        }
    }

    /// True once anything of a response came.
    pub(crate) fn has_answered(&self) -> bool {
        match self {
            Self::Http1(client) => client.has_answered(),
            Self::Http2(client) => client.has_answered(),
        }
    }

    /// True if the server, which may be the one `beside` us, has certainly not read the request.
    pub(crate) async fn is_unread(&self, beside: bool) -> bool {
        match self {
            Self::Http1(client) => client.is_unread(beside).await,
            Self::Http2(_) => false,
        }
    }

    /// Our address on the connection, and whether it is under TLS.
    pub(crate) fn local(&self) -> (Option<SocketAddr>, bool) {
        let look = |stream: &crate::stream::Stream| (stream.local_addr().ok(), stream.is_tls());
        match self {
            Self::Http1(client) => look(client.stream()),
            Self::Http2(client) => client.link().with_stream(look),
        }
    }

    /// Waits until an upgrade can be asked for.
    ///
    /// # Errors
    /// If the endpoint does not take upgrades over HTTP/2.
    pub(crate) async fn prepare_upgrade(&self) -> Result<(), Fault> {
        let Self::Http2(client) = self else { return Ok(()) };
        // Its settings are the first that comes; the driver tells the pool, which wakes us.
        let takes = poll_fn(|cx| match client.takes_upgrades() {
            Some(takes) => Poll::Ready(takes),
            None => {
                client.link().wait_for_settings(cx);
                Poll::Pending
            }
        });
        if takes.await {
            return Ok(());
        }
        let reason = "the endpoint takes no upgrades over HTTP/2 (RFC 8441)";
        Err(Fault::new(Cause::UpstreamProtocol, Step::Forward).because(reason))
    }

    /// Begins a request.
    pub(crate) fn send_head(&mut self, head: &RequestHead, body: BodyLength) {
        match self {
            Self::Http1(client) => client.send_head(head, body),
            Self::Http2(client) => client.send_head(head, body),
        }
    }

    pub(crate) fn send_data(&mut self, data: &[u8]) {
        match self {
            Self::Http1(client) => client.send_data(data),
            Self::Http2(client) => client.send_data(data),
        }
    }

    /// Ends the request's body, or our direction of a tunnel.
    pub(crate) fn send_end(&mut self, trailers: Option<&Fields>) {
        match self {
            Self::Http1(client) => client.send_end(trailers),
            Self::Http2(client) => client.send_end(trailers),
        }
    }

    /// Waits until there is room to send more.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1(client) => client.poll_room(cx),
            Self::Http2(client) => client.poll_room(cx),
        }
    }

    /// Writes what was sent.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1(client) => client.poll_flush(cx),
            Self::Http2(client) => client.poll_flush(cx),
        }
    }

    /// The next response head: interim ones come first.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut Lent<ResponseHead>) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1(client) => client.poll_head(cx, head),
            Self::Http2(client) => client.poll_head(cx, head),
        }
    }

    /// The next of the response's body.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, Fault>> {
        match self {
            Self::Http1(client) => client.poll_body(cx),
            Self::Http2(client) => client.poll_body(cx),
        }
    }

    pub(crate) fn consume(&mut self, count: usize) {
        match self {
            Self::Http1(client) => client.consume(count),
            Self::Http2(client) => client.consume(count),
        }
    }

    /// True if the server was told already who we are, on this connection.
    pub(crate) fn is_introduced(&self) -> bool {
        match self {
            Self::Http1(client) => client.has_served(),
            Self::Http2(client) => client.is_introduced(),
        }
    }

    /// What comes now is not HTTP any more.
    pub(crate) fn become_tunnel(&mut self) {
        match self {
            Self::Http1(client) => client.become_tunnel(),
            Self::Http2(client) => client.become_tunnel(),
        }
    }

    /// Keeps the connection for the next request, if it can carry one; it is idle from `now` on.
    pub(crate) fn give_back(self, pick: &Pick, now: Instant) {
        let config = &pick.upstream().config;
        if let Self::Http1(mut client) = self
            && client.is_reusable(config.requests_per_connection())
        {
            client.rest();
            pick.host.pool().keep(client, config.http.idle_timeout, now);
        }
    }
}
