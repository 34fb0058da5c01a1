//! One HTTP/1 connection to an endpoint.

use std::io;
use std::task::{Context, Poll, ready};

use mesh_http::h1::{self, Limits, ResponseTo};
use mesh_http::{BodyLength, Fields, RequestHead, ResponseHead};

use super::Slot;
use crate::delivery;
use crate::fault::{Cause, Fault, Sent, Step};
use crate::http::body::{BodyIn, BodyOut, Broken, Piece};
use crate::http::wire::Wire;
use crate::stream::Stream;

/// Servers read so much at once, at least.
const ONE_PIECE: u64 = 4096;

/// A connection that carries one request at a time.
#[derive(Debug)]
pub(crate) struct Client {
    wire: Wire,
    body_in: BodyIn,
    body_out: BodyOut,
    to: ResponseTo,
    limits: Limits,
    /// Requests begun on it.
    requests: u32,
    /// Bytes that the socket had taken when this request began.
    written_before: u64,
    /// A response has begun to come for this request.
    answered: bool,
    /// The connection was reset.
    reset: bool,
    /// It failed otherwise than by being closed or reset.
    failed: bool,
    /// The request's body was written to its end.
    sent_all: bool,
    /// The server takes another request.
    keeps_alive: bool,
    /// Both directions carry bytes that are not HTTP.
    tunnel: bool,
    _slot: Slot,
}

impl Client {
    pub(crate) fn new(stream: Stream, slot: Slot) -> Self {
        Self {
            wire: Wire::new(stream),
            body_in: BodyIn::default(),
            body_out: BodyOut::default(),
            to: ResponseTo::default(),
            limits: Limits::default(),
            requests: 0,
            written_before: 0,
            answered: false,
            reset: false,
            failed: false,
            sent_all: false,
            keeps_alive: true,
            tunnel: false,
            _slot: slot,
        }
    }

    /// True for an idle connection that is open and silent.
    pub(crate) fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        self.wire.input.is_empty() && self.wire.poll_fill(cx, 1).is_pending()
    }

    /// True if an earlier request was served on it: it may have been closed in the meantime.
    pub(crate) fn is_reused(&self) -> bool {
        self.requests > 1
    }

    /// True if it has served a request before the one to come.
    pub(crate) fn has_served(&self) -> bool {
        self.requests > 0
    }

    /// True once anything of a response came.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered
    }

    /// True if the server has not read this request, or not all of it and so not begun to work on it (P08).
    ///
    /// A kernel resets a connection that is closed with bytes unread, or gets bytes later. If a reset came and no end
    /// before it, the server may also have aborted a connection from which it had read: of one `beside` us the kernel
    /// tells which it was; of others, that they have acknowledged nothing must do.
    pub(crate) async fn is_unread(&self, beside: bool) -> bool {
        if !self.wire.has_ended() || self.failed || self.answered {
            return false;
        }
        // Of what comes in one piece nobody reads only a part.
        let whole = self.sent_all && self.stream().written() - self.written_before <= ONE_PIECE;
        let unacknowledged = || delivery::is_none_acknowledged(self.stream(), self.written_before);
        match self.reset {
            true if beside => whole && delivery::was_one_closed_unread(),
            true => whole && unacknowledged(),
            false => delivery::is_reset(self.stream()).await && (whole || unacknowledged()),
        }
    }

    /// Begins a request.
    pub(crate) fn send_head(&mut self, head: &RequestHead, body: BodyLength) {
        self.requests += 1;
        self.to = ResponseTo::of(head);
        self.answered = false;
        self.written_before = self.stream().written();
        self.sent_all = body.is_empty() && !head.upgrade;
        self.body_out.restart(body);
        h1::write_request(head, body, self.wire.output.tail());
    }

    pub(crate) fn send_data(&mut self, data: &[u8]) {
        self.body_out.write(data, self.wire.output.tail());
    }

    /// Ends the request's body, or our direction of a tunnel.
    pub(crate) fn send_end(&mut self, trailers: Option<&Fields>) {
        if !self.body_out.finish(trailers, self.wire.output.tail()) {
            self.keeps_alive = false;
        }
        self.sent_all = true;
    }

    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.wire.poll_room(cx).map_err(|error| self.broken(&error))
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let flushed = if self.tunnel && self.sent_all { self.wire.poll_shutdown(cx) } else { self.wire.poll_flush(cx) };
        flushed.map_err(|error| self.broken(&error))
    }

    /// The next response head: interim ones come first.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut ResponseHead) -> Poll<Result<(), Fault>> {
        loop {
            if !self.wire.input.is_empty() {
                self.answered = true;
                let parsed = h1::parse_response(self.wire.input.unread(), &self.limits, self.to, head);
                match parsed.map_err(|refused| self.protocol(refused.reason))? {
                    Some(taken) => {
                        self.wire.input.consume(taken);
                        self.body_in.restart(head.body);
                        self.keeps_alive &= head.keep_alive || head.status < 200;
                        return Poll::Ready(Ok(()));
                    }
                    None if self.wire.has_ended() => return Poll::Ready(Err(self.closed())),
                    None => {}
                }
            }
            match ready!(self.wire.poll_fill(cx, self.limits.max_head)) {
                Ok(0) => return Poll::Ready(Err(self.closed())),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.broken(&error))),
            }
        }
    }

    /// The next of the response's body.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece<'_>, Fault>> {
        let failed = |cause| Fault::after_sending(cause, Step::Respond);
        self.body_in.poll(&mut self.wire, cx).map_err(|broken| match broken {
            Broken::Grammar(refused) => failed(Cause::UpstreamProtocol).because(refused.reason),
            Broken::Closed => failed(Cause::UpstreamClosed).because("before the end of the body"),
            Broken::Io(error) => failed(Cause::UpstreamClosed).because(error.to_string()),
        })
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.body_in.consume(&mut self.wire, count);
    }

    /// After 101, or a 2xx to `CONNECT`: what comes now is not HTTP any more.
    pub(crate) fn become_tunnel(&mut self) {
        self.tunnel = true;
        self.sent_all = false;
        self.body_in.restart(BodyLength::UntilClose);
        self.body_out.restart(BodyLength::UntilClose);
    }

    /// True if the request is over on both sides and the connection can carry another.
    pub(crate) fn is_reusable(&self, max_requests: u32) -> bool {
        self.keeps_alive
            && !self.tunnel
            && self.sent_all
            && self.body_in.is_done()
            && self.wire.input.is_empty()
            && self.wire.output.is_empty()
            && (max_requests == 0 || self.requests < max_requests)
    }

    /// Gives back the memory that an idle connection does not need.
    pub(crate) fn rest(&mut self) {
        self.wire.input.rest();
        self.wire.output.rest();
    }

    /// Where it goes.
    pub(crate) fn stream(&self) -> &Stream {
        self.wire.stream()
    }

    fn closed(&self) -> Fault {
        self.fault(Cause::UpstreamClosed)
    }

    fn protocol(&self, reason: &'static str) -> Fault {
        self.fault(Cause::UpstreamProtocol).because(reason)
    }

    fn broken(&mut self, error: &io::Error) -> Fault {
        match error.kind() {
            // The other end had closed it before.
            io::ErrorKind::BrokenPipe => {}
            io::ErrorKind::ConnectionReset => self.reset = true,
            _ => self.failed = true,
        }
        self.fault(Cause::UpstreamClosed).because(error.to_string())
    }

    fn fault(&self, cause: Cause) -> Fault {
        Fault { sent: Sent::Perhaps, ..Fault::new(cause, Step::Forward) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::HostPool;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// A connection that has carried a request already, and its server's end.
    async fn used() -> (Client, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut server = listener.accept().await.unwrap().0;
        let mut client = Client::new(Stream::plain(socket), Slot::new(&HostPool::default().open, None));
        post(&mut client, b"hi").await;
        read_request(&mut server).await;
        server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        poll_fn(|cx| client.poll_head(cx, &mut ResponseHead::default())).await.unwrap();
        (client, server)
    }

    async fn read_request(server: &mut TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"hi") {
            server.read_buf(&mut request).await.unwrap();
        }
    }

    async fn post(client: &mut Client, body: &[u8]) {
        let mut head = RequestHead::default();
        head.set_method(b"POST");
        client.send_head(&head, BodyLength::Exact(body.len() as u64));
        client.send_data(body);
        client.send_end(None);
        poll_fn(|cx| client.poll_flush(cx)).await.unwrap();
    }

    async fn fails(client: &mut Client) {
        poll_fn(|cx| client.poll_head(cx, &mut ResponseHead::default())).await.unwrap_err();
    }

    /// The request is with the server's kernel, which has said so.
    async fn acknowledged(client: &Client) {
        while delivery::is_none_acknowledged(client.stream(), client.written_before) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_request_to_a_closed_connection_was_not_read() {
        let (mut client, server) = used().await;
        drop(server);
        post(&mut client, &[b'x'; 8192]).await;
        fails(&mut client).await;
        assert!(client.is_unread(false).await);
    }

    #[tokio::test]
    async fn a_request_that_was_read_is_not_called_unread_whatever_ends_the_connection() {
        let (mut client, mut server) = used().await;
        post(&mut client, b"hi").await;
        read_request(&mut server).await;
        drop(server);
        fails(&mut client).await;
        assert!(!client.is_unread(false).await, "closed");

        let (mut client, mut server) = used().await;
        post(&mut client, &[b'x'; 8192]).await;
        server.read_exact(&mut [0; 8]).await.unwrap();
        acknowledged(&client).await;
        drop(server);
        fails(&mut client).await;
        assert!(!client.is_unread(false).await, "reset, with the rest unread");
        assert!(!client.is_unread(true).await, "reset, with the rest unread, beside us");

        let (mut client, mut server) = used().await;
        post(&mut client, b"hi").await;
        read_request(&mut server).await;
        acknowledged(&client).await;
        server.set_zero_linger().unwrap();
        drop(server);
        fails(&mut client).await;
        assert!(!client.is_unread(false).await, "aborted");
    }

    #[tokio::test]
    async fn a_request_that_was_closed_away_was_not_read_though_the_kernel_acknowledged_it() {
        let (mut client, server) = used().await;
        post(&mut client, b"hi").await;
        acknowledged(&client).await;
        delivery::watch();
        drop(server);
        fails(&mut client).await;
        assert!(client.is_unread(true).await, "closed in one step");

        let (mut client, mut server) = used().await;
        server.shutdown().await.unwrap();
        post(&mut client, b"hi").await;
        acknowledged(&client).await;
        drop(server);
        fails(&mut client).await;
        assert!(client.is_unread(false).await, "closed in two steps");
    }
}
