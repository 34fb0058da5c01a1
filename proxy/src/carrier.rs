//! One connection of bytes after another over one mutual TLS connection between two of our proxies, so that a caller that
//! connects anew for each request costs no handshake. Both sides must know it (a word of ALPN says so): with any other
//! peer a mutual TLS connection carries one connection of bytes and ends with it, as Istio's do.
//!
//! What is carried stands in frames of a kind, a length (two bytes, big endian) and so many bytes. The caller's side
//! sends [`OPEN`]; the other answers [`OPENED`] once its application has taken the connection. Then both send [`DATA`], and
//! [`END`] for the end of their direction. After both ends the next may be opened. Whatever else happens to a carried
//! connection ends the carrier with it, so that nobody takes an abort for an end.

mod serve;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use mesh_tls::ClientTls;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Stream;

pub(crate) use serve::serve;

/// The word of ALPN by which two proxies agree on carriers.
pub(crate) const ALPN: &str = "weft-carrier";

/// A kind and a length.
const HEAD: usize = 3;
/// A frame's data, at most: with its head four whole TLS records, which are sent at once.
pub(crate) const MOST: usize = 4 * 16 * 1024 - HEAD;

const OPEN: u8 = 1;
const OPENED: u8 = 2;
const DATA: u8 = 3;
const END: u8 = 4;

/// A TLS connection that carries one connection of bytes at a time; reads, writes and shuts down as that one.
#[derive(Debug)]
pub(crate) struct Carrier {
    stream: Stream,
    incoming: Incoming,
    outgoing: Outgoing,
    /// On the caller's side, the settings under which TLS was opened.
    under: Option<ClientTls>,
}

#[derive(Debug, Default)]
struct Incoming {
    head: [u8; HEAD],
    /// Of the head.
    read: usize,
    /// Data of the frame that is still to come.
    left: usize,
    ended: bool,
}

#[derive(Debug)]
struct Outgoing {
    head: [u8; HEAD],
    /// Of the head; all of it while no frame is being begun.
    written: usize,
    /// Data of the frame that is still to be written.
    owed: usize,
    /// The word that is being told; it is written once, however often its flush is asked for.
    telling: Option<u8>,
    ended: bool,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self { head: [0; HEAD], written: HEAD, owed: 0, telling: None, ended: false }
    }
}

impl Outgoing {
    /// Begins a frame, unless one is being begun already.
    fn begin(&mut self, kind: u8, length: usize) {
        if self.written == HEAD && self.owed == 0 {
            let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            (self.head, self.written, self.owed) = ([kind, high, low], 0, length);
        }
    }

    fn took(&mut self, count: usize) -> usize {
        let of_head = count.min(HEAD - self.written);
        self.written += of_head;
        self.owed -= count - of_head;
        count - of_head
    }
}

impl Carrier {
    /// The callee's side.
    pub(crate) fn taken(stream: Stream) -> Self {
        Self { stream, incoming: Incoming::default(), outgoing: Outgoing::default(), under: None }
    }

    /// The caller's side, over TLS that was opened under these settings.
    pub(crate) fn made(stream: Stream, under: ClientTls) -> Self {
        Self { under: Some(under), ..Self::taken(stream) }
    }

    /// The connection below.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// True if TLS was opened under these settings: the same certificate, roots and revocations.
    pub(crate) fn is_under(&self, now: &ClientTls) -> bool {
        self.under.as_ref().is_some_and(|then| then.is(now))
    }

    /// Opens the next connection; it stands once the other side's application has taken it.
    ///
    /// # Errors
    /// If it was not taken. Nothing of the caller's was sent then.
    pub(crate) async fn open(&mut self) -> io::Result<()> {
        self.tell(OPEN).await?;
        self.await_frame(OPENED).await
    }

    /// Waits until the other side opens the next connection.
    ///
    /// # Errors
    /// If the other side ends the carrier, or does not keep to the frames.
    async fn opened(&mut self) -> io::Result<()> {
        self.await_frame(OPEN).await
    }

    /// Tells the other side that its connection stands.
    ///
    /// # Errors
    /// If the carrier is broken.
    pub(crate) async fn confirm(&mut self) -> io::Result<()> {
        self.tell(OPENED).await
    }

    /// Ready for the next connection, if the last one ended in both directions.
    pub(crate) fn renewed(mut self: Box<Self>) -> Option<Box<Self>> {
        let spent = self.incoming.ended && self.outgoing.ended;
        (self.incoming, self.outgoing) = Default::default();
        spent.then_some(self)
    }

    /// True if nothing came between two connections, not even the end.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.poll_head(&mut Context::from_waker(Waker::noop())).is_pending() && self.incoming.read == 0
    }

    async fn tell(&mut self, kind: u8) -> io::Result<()> {
        poll_fn(|cx| self.poll_tell(cx, kind)).await
    }

    async fn await_frame(&mut self, wanted: u8) -> io::Result<()> {
        match poll_fn(|cx| self.poll_head(cx)).await? {
            (kind, 0) if kind == wanted => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn poll_tell(&mut self, cx: &mut Context<'_>, kind: u8) -> Poll<io::Result<()>> {
        if self.outgoing.telling != Some(kind) {
            self.outgoing.begin(kind, 0);
            self.outgoing.telling = Some(kind);
        }
        while self.outgoing.written < HEAD {
            ready!(self.poll_put(cx, &[]))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.outgoing.telling = None;
        Poll::Ready(Ok(()))
    }

    /// Writes of the head and of the data, and tells how much of the data went.
    fn poll_put(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let Outgoing { head, written, .. } = &self.outgoing;
        let both = [IoSlice::new(&head[*written..]), IoSlice::new(data)];
        // A head goes into one TLS record with its data.
        match ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &both))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => Poll::Ready(Ok(self.outgoing.took(count))),
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(u8, usize)>> {
        while self.incoming.read < HEAD {
            let mut room = ReadBuf::new(&mut self.incoming.head[self.incoming.read..]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
            match room.filled().len() {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                count => self.incoming.read += count,
            }
        }
        self.incoming.read = 0;
        let [kind, high, low] = self.incoming.head;
        Poll::Ready(Ok((kind, u16::from_be_bytes([high, low]).into())))
    }
}

fn unexpected((kind, length): (u8, usize)) -> io::Error {
    let reason = format!("a carrier's frame of kind {kind} with {length} bytes has no place here");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl AsyncRead for Carrier {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.incoming.left == 0 && !self.incoming.ended {
            match ready!(self.poll_head(cx))? {
                (DATA, length) if length > 0 => self.incoming.left = length,
                (END, 0) => self.incoming.ended = true,
                other => return Poll::Ready(Err(unexpected(other))),
            }
        }
        if self.incoming.ended {
            return Poll::Ready(Ok(()));
        }
        let room = self.incoming.left.min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        if count == 0 && room > 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        buf.advance(count);
        self.incoming.left -= count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.outgoing.begin(DATA, buf.len().min(MOST));
        loop {
            let owed = self.outgoing.owed.min(buf.len());
            match ready!(self.poll_put(cx, &buf[..owed]))? {
                0 => {}
                count => return Poll::Ready(Ok(count)),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ends our direction of the carried connection; the carrier stays.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outgoing.owed > 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, "a frame was not written to its end")));
        }
        if !self.outgoing.ended {
            ready!(self.poll_tell(cx, END))?;
            self.outgoing.ended = true;
        }
        Poll::Ready(Ok(()))
    }
}
