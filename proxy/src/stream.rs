//! A byte stream, plain or under TLS, with the bytes that were read early put back in front.

use std::cell::OnceCell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use mesh_tls::TlsStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::carrier::Carrier;

/// A connection as everything after `accept` and `connect` sees it.
#[derive(Debug)]
pub struct Stream {
    io: Io,
    early: Early,
    /// Bytes given to the socket; those of a session are counted by the stream below it.
    written: u64,
    /// Asked for once.
    local: OnceCell<SocketAddr>,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<Stream>>),
    Carried(Box<Carrier>),
}

/// Bytes read from the socket before somebody asked for them.
#[derive(Debug, Default)]
struct Early {
    bytes: Vec<u8>,
    taken: usize,
}

impl Stream {
    /// A plain connection.
    pub fn plain(socket: TcpStream) -> Self {
        Self::over(Io::Plain(socket))
    }

    /// A connection under TLS.
    pub fn tls(session: Box<TlsStream<Stream>>) -> Self {
        Self::over(Io::Tls(session))
    }

    /// A connection that a carrier carries.
    pub(crate) fn carried(carrier: Box<Carrier>) -> Self {
        Self::over(Io::Carried(carrier))
    }

    /// The carrier, ready for the next connection, if this one was carried and has ended in both directions.
    pub(crate) fn into_carrier(self) -> Option<Box<Carrier>> {
        match self.io {
            Io::Carried(carrier) if self.early.is_empty() => carrier.renewed(),
            _ => None,
        }
    }

    /// Tells the caller that the connection was taken by whom it is for, where that can be told.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(crate) async fn confirm(&mut self) -> io::Result<()> {
        match &mut self.io {
            Io::Carried(carrier) => carrier.confirm().await,
            _ => Ok(()),
        }
    }

    fn over(io: Io) -> Self {
        Self { io, early: Early::default(), written: 0, local: OnceCell::new() }
    }

    /// The same, with bytes that will be read first.
    #[must_use]
    pub fn with_early(mut self, bytes: Vec<u8>) -> Self {
        self.early = Early { bytes, taken: 0 };
        self
    }

    /// Puts bytes back that were read ahead of their reader.
    pub fn put_back(&mut self, bytes: Vec<u8>) {
        self.early = Early { bytes: [&bytes, self.early.rest()].concat(), taken: 0 };
    }

    /// Lets the peer see a reset once this is dropped: what it was sent was not all.
    pub(crate) fn abort(&self) {
        let _ = self.socket().set_zero_linger();
    }

    /// The socket at the bottom.
    pub fn socket(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(socket) => socket,
            Io::Tls(session) => session.get_ref().socket(),
            Io::Carried(carrier) => carrier.stream().socket(),
        }
    }

    /// Bytes that the socket at the bottom has taken so far.
    pub fn written(&self) -> u64 {
        match &self.io {
            Io::Plain(_) => self.written,
            Io::Tls(session) => session.get_ref().written(),
            Io::Carried(carrier) => carrier.stream().written(),
        }
    }

    /// The peer's address on the socket.
    ///
    /// # Errors
    /// If the socket is not connected any more.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket().peer_addr()
    }

    /// Our address on the socket.
    ///
    /// # Errors
    /// If the operating system cannot say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.local.get() {
            Some(known) => Ok(*known),
            None => self.socket().local_addr().inspect(|told| _ = self.local.set(*told)),
        }
    }

    /// True under TLS.
    pub fn is_tls(&self) -> bool {
        match &self.io {
            Io::Plain(_) => false,
            Io::Tls(_) => true,
            Io::Carried(carrier) => carrier.stream().is_tls(),
        }
    }
}

impl Early {
    fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Gives as much as fits; frees the memory with the last byte.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = self.rest();
        let fitting = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..fitting]);
        self.taken += fitting;
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.early.is_empty() {
            this.early.give(buf);
            return Poll::Ready(Ok(()));
        }
        match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_read(cx, buf),
            Io::Carried(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => {
                let count = ready!(Pin::new(io).poll_write(cx, buf))?;
                self.written += count as u64;
                Poll::Ready(Ok(count))
            }
            Io::Tls(io) => Pin::new(io).poll_write(cx, buf),
            Io::Carried(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    /// Under TLS all slices go into one record, as far as they fit.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tls(io) => Pin::new(io).poll_write_vectored(cx, slices),
            _ => {
                let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
                self.poll_write(cx, first)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io).poll_flush(cx),
            Io::Carried(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io).poll_shutdown(cx),
            Io::Carried(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn early_bytes_come_first_and_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut stream = Stream::plain(listener.accept().await.unwrap().0).with_early(b"early ".to_vec());
        client.write_all(b"late").await.unwrap();
        drop(client);
        let mut three = [0; 3];
        stream.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"ear");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "ly late");
    }
}
