//! A connection with what came and what is to go: one read and one write a turn.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffer::{Input, Output, READ};
use crate::stream::Stream;

/// Above so many unwritten bytes a connection takes no more until it is written.
const HIGH_WATER: usize = 64 * 1024;

/// A connection with its buffers.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    pub(crate) input: Input,
    pub(crate) output: Output,
    ended: bool,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, input: Input::default(), output: Output::default(), ended: false, bytes_in: 0, bytes_out: 0 }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// True once the peer has said that nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads once. Zero bytes are the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        let mut room = ReadBuf::new(self.input.room(limit.max(READ)));
        if room.remaining() == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::OutOfMemory, "too much at a time")));
        }
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut room);
        let count = room.filled().len();
        match result {
            Poll::Pending => {
                self.input.rest();
                Poll::Pending
            }
            Poll::Ready(Err(error)) => {
                self.ended = true;
                Poll::Ready(Err(error))
            }
            Poll::Ready(Ok(())) => {
                self.ended = count == 0;
                self.bytes_in += count as u64;
                self.input.filled(count);
                Poll::Ready(Ok(count))
            }
        }
    }

    /// Waits until there is room to write more.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.output.pending().len() >= HIGH_WATER {
            ready!(self.poll_write(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all that is to go.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.output.is_empty() {
            ready!(self.poll_write(cx))?;
        }
        // Plain sockets hold nothing back; TLS sessions may.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, self.output.pending()))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.output.consume(count);
        self.bytes_out += count as u64;
        Poll::Ready(Ok(()))
    }

    /// Writes all and says that nothing more comes.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
