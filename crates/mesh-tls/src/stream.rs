//! A TLS connection over any stream of bytes. While nothing is on its way it holds no buffer.

mod library;
mod records;
mod window;

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use rustls::{ClientConfig, CommonState, Error, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::HandshakeError;
use library::{Library, Step};
use records::Records;
use window::Window;

/// A TLS connection whose handshake is done.
pub struct TlsStream<IO> {
    wire: Wire<IO>,
    layer: Layer,
    /// We have said that nothing more comes.
    closed: bool,
    /// Why nothing passes any more: the peer did not keep to TLS, and was told so.
    broken: Option<Error>,
}

/// A TLS connection whose handshake is still to be done.
pub(crate) struct Shaking<IO> {
    wire: Wire<IO>,
    library: Library,
}

/// A stream of bytes with what came from it and what is to go.
struct Wire<IO> {
    io: IO,
    incoming: Window,
    outgoing: Window,
}

/// Who seals and opens.
enum Layer {
    Library(Box<Library>),
    Records(Box<Records>),
}

/// What came of opening.
enum Opened {
    /// Something was read.
    Some,
    /// More has to come.
    Nothing,
    /// The peer has said that nothing more comes.
    Ended,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Shaking<IO> {
    /// With a server of this name.
    ///
    /// # Errors
    /// If the settings give no handshake.
    pub(crate) fn client(io: IO, config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, HandshakeError> {
        Library::client(config, name).map(|library| Self::new(io, library)).map_err(HandshakeError::from)
    }

    /// With a client.
    ///
    /// # Errors
    /// If the settings give no handshake.
    pub(crate) fn server(io: IO, config: Arc<ServerConfig>) -> Result<Self, HandshakeError> {
        Library::server(config).map(|library| Self::new(io, library)).map_err(HandshakeError::from)
    }

    fn new(io: IO, library: Library) -> Self {
        Self { wire: Wire { io, incoming: Window::default(), outgoing: Window::default() }, library }
    }

    /// The server name of the ClientHello, lower case; to be asked before the handshake.
    ///
    /// # Errors
    /// If the connection breaks before it is there, or something else comes; the peer was told so.
    pub(crate) async fn server_name(&mut self) -> Result<Option<Box<str>>, HandshakeError> {
        let mut acceptor = Acceptor::default();
        loop {
            let mut seen = self.wire.incoming.bytes().len();
            self.wire.more().await?;
            while let mut fresh @ [_, ..] = &self.wire.incoming.bytes()[seen..] {
                seen += acceptor.read_tls(&mut fresh).map_err(HandshakeError::Io)?;
                match acceptor.accept() {
                    Ok(None) => {}
                    Ok(Some(hello)) => {
                        let name = hello.client_hello().server_name().map(|name| name.to_ascii_lowercase().into());
                        return Ok(name);
                    }
                    Err((error, mut alert)) => {
                        let mut told = Vec::new();
                        alert.write_all(&mut told).map_err(HandshakeError::Io)?;
                        self.wire.outgoing.put(&told);
                        self.wire.try_flush().await;
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// If the peer does not, or is not believed; it was told so.
    pub(crate) async fn shake(&mut self) -> Result<(), HandshakeError> {
        let Self { wire, library } = self;
        while !library.has_shaken() {
            match library.step(&mut wire.incoming, &mut wire.outgoing) {
                Ok(Step::Again) => {}
                Ok(Step::Starved | Step::Ready) if library.has_shaken() => {}
                Ok(Step::Starved | Step::Ready) => wire.more().await?,
                Err(error) => {
                    library.complain(&mut wire.incoming, &mut wire.outgoing);
                    wire.try_flush().await;
                    return Err(error.into());
                }
            }
        }
        wire.flush().await.map_err(HandshakeError::Io)
    }

    /// What the handshake settled.
    pub(crate) fn state(&self) -> &CommonState {
        self.library.state()
    }

    /// The connection that came of it.
    ///
    /// # Errors
    /// If rustls gives no secrets away, which its settings allow.
    pub(crate) fn into_stream(mut self) -> Result<TlsStream<IO>, HandshakeError> {
        let layer = self.library.into_layer(&mut self.wire.incoming)?;
        Ok(TlsStream { wire: self.wire, layer, closed: false, broken: None })
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    /// Reads once. Zero bytes are the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.incoming.room(1));
        let polled = Pin::new(&mut self.io).poll_read(cx, &mut room);
        let count = room.filled().len();
        match count {
            0 => self.incoming.rest(),
            _ => self.incoming.read(count),
        }
        polled.map_ok(|()| count)
    }

    /// Sends all that is to go.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, self.outgoing.bytes()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.consume(count);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// The same, as far as that goes without waiting: whoever cannot be told sees that the connection ends.
    async fn try_flush(&mut self) {
        poll_fn(|cx| Poll::Ready(self.poll_flush(cx).is_ready())).await;
    }

    /// Sends what is to go, then waits for more of a handshake.
    async fn more(&mut self) -> Result<(), HandshakeError> {
        self.flush().await.map_err(HandshakeError::Io)?;
        self.incoming.check()?;
        match poll_fn(|cx| self.poll_fill(cx)).await.map_err(HandshakeError::Io)? {
            0 => Err(HandshakeError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed it"))),
            _ => Ok(()),
        }
    }
}

impl Layer {
    fn open<IO>(&mut self, wire: &mut Wire<IO>, buf: &mut ReadBuf<'_>) -> Result<Opened, Error> {
        match self {
            Self::Library(library) => library.open(&mut wire.incoming, &mut wire.outgoing, buf),
            Self::Records(records) => records.open(&mut wire.incoming, buf),
        }
    }

    fn seal<IO>(&mut self, wire: &mut Wire<IO>, slices: &[IoSlice<'_>]) -> Result<usize, Error> {
        match self {
            Self::Library(library) => library.seal(&mut wire.incoming, &mut wire.outgoing, slices),
            Self::Records(records) => records.seal(&mut wire.outgoing, slices),
        }
    }

    fn close<IO>(&mut self, wire: &mut Wire<IO>) -> Result<(), Error> {
        match self {
            Self::Library(library) => library.close(&mut wire.incoming, &mut wire.outgoing),
            Self::Records(records) => records.close(&mut wire.outgoing),
        }
    }

    /// Gives what was opened before the connection broke; true if there was something.
    fn heard(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        match self {
            Self::Library(library) => library.heard(buf),
            Self::Records(_) => false,
        }
    }

    /// Puts an alert into what is to go, if the peer is to be told.
    fn complain<IO>(&mut self, wire: &mut Wire<IO>, error: &Error) {
        match self {
            Self::Library(library) => library.complain(&mut wire.incoming, &mut wire.outgoing),
            Self::Records(records) => records.complain(&mut wire.outgoing, error),
        }
    }
}

impl<IO> TlsStream<IO> {
    /// What is below.
    pub fn get_ref(&self) -> &IO {
        &self.wire.io
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// Tells the peer, as far as that goes without waiting, and nobody anything after that.
    fn fail(&mut self, cx: &mut Context<'_>, error: Error) -> io::Error {
        // Where something else is still to go, whoever waits for that sends both.
        let is_free = self.wire.outgoing.is_empty();
        self.layer.complain(&mut self.wire, &error);
        if is_free {
            let _ = self.wire.poll_send(cx);
        }
        self.broken = Some(error.clone());
        invalid(error)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = &this.broken {
            let heard = this.layer.heard(buf);
            return Poll::Ready(if heard { Ok(()) } else { Err(invalid(error.clone())) });
        }
        while buf.remaining() > 0 {
            match this.layer.open(&mut this.wire, buf) {
                Ok(Opened::Some | Opened::Ended) => break,
                Ok(Opened::Nothing) => {}
                Err(error) => return Poll::Ready(Err(this.fail(cx, error))),
            }
            if ready!(this.wire.poll_fill(cx))? == 0 {
                let reason = "the peer closed the connection without saying so in TLS";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// All slices go into the same records, as far as they fit.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.wire.poll_send(cx))?;
        if this.closed || this.broken.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        match this.layer.seal(&mut this.wire, slices) {
            Ok(count) => match this.wire.poll_send(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                // What does not go now goes before anything else does.
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(count)),
            },
            Err(error) => Poll::Ready(Err(this.fail(cx, error))),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().wire.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closed && this.broken.is_none() {
            if let Err(error) = this.layer.close(&mut this.wire) {
                return Poll::Ready(Err(this.fail(cx, error)));
            }
            this.closed = true;
        }
        ready!(this.wire.poll_send(cx))?;
        Pin::new(&mut this.wire.io).poll_shutdown(cx)
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<IO> fmt::Debug for TlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("closed", &self.closed).finish_non_exhaustive()
    }
}
