//! Bytes from one connection to another, both ways, each direction ending by itself.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mesh_blocks::{Shelf, keep, take};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::carrier;
use crate::fault::{Cause, Fault, Step};
use crate::http::timer::Timer;
use crate::stream::Stream;

/// Bytes on their way in one direction, at most.
const MOST: usize = carrier::MOST;
/// Of one that has little to carry.
const FEW: usize = 16 * 1024;

thread_local! {
    static SMALL: Shelf = const { Shelf::new(FEW, 64) };
    static LARGE: Shelf = const { Shelf::new(MOST, 8) };
}

/// How it ended.
pub(crate) struct Ended {
    /// Bytes from the caller.
    pub(crate) there: u64,
    /// Bytes to the caller.
    pub(crate) back: u64,
    /// Why it broke off, if it did.
    pub(crate) fault: Option<Fault>,
}

/// The first bytes of a stream; empty if it ends without any.
///
/// # Errors
/// If the stream fails.
pub(crate) async fn first_bytes(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4096);
    stream.read_buf(&mut bytes).await?;
    Ok(bytes)
}

/// Copies until both directions have ended, one is broken, or nothing moved for `idle`.
pub(crate) async fn both_ways(caller: &mut Stream, endpoint: &mut Stream, idle: Option<Duration>) -> Ended {
    let (mut there, mut back) = (Way::default(), Way::default());
    let mut timer = Timer::default();
    let mut deadline = None;
    let fault = poll_fn(|cx| {
        let before = there.bytes + back.bytes;
        let failed = |cause, error: io::Error| Fault::after_sending(cause, Step::Forward).because(error.to_string());
        let first = there.poll(cx, caller, endpoint).map_err(|error| failed(Cause::UpstreamClosed, error))?;
        let second = back.poll(cx, endpoint, caller).map_err(|error| failed(Cause::DownstreamClosed, error))?;
        if first.is_ready() && second.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if before != there.bytes + back.bytes || deadline.is_none() {
            deadline = idle.map(|idle| Instant::now() + idle);
        }
        ready!(timer.poll(cx, deadline));
        Poll::Ready(Err(Fault::after_sending(Cause::StreamIdle, Step::Forward)))
    });
    let fault = fault.await.err();
    Ended { there: there.bytes, back: back.bytes, fault }
}

/// One direction.
#[derive(Default)]
struct Way {
    buffer: Vec<u8>,
    /// It has filled a small buffer, and earned a large one.
    busy: bool,
    start: usize,
    end: usize,
    read_all: bool,
    shut: bool,
    unflushed: bool,
    bytes: u64,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.rest();
    }
}

impl Way {
    /// Gives the memory back.
    fn rest(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        keep(if buffer.len() == MOST { &LARGE } else { &SMALL }, buffer);
    }

    fn poll(&mut self, cx: &mut Context<'_>, from: &mut Stream, to: &mut Stream) -> Poll<io::Result<()>> {
        loop {
            while self.start < self.end {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer[self.start..self.end]))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.start += count;
                self.bytes += count as u64;
                self.unflushed = true;
            }
            if self.shut {
                return Poll::Ready(Ok(()));
            }
            if self.read_all {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.shut = true;
                continue;
            }
            if self.buffer.is_empty() || (self.busy && self.buffer.len() == FEW) {
                self.rest();
                self.buffer = take(if self.busy { &LARGE } else { &SMALL });
            }
            let mut room = ReadBuf::new(&mut self.buffer);
            match Pin::new(&mut *from).poll_read(cx, &mut room) {
                Poll::Pending => {
                    // An idle direction holds no memory; a flush belongs to a pause.
                    self.rest();
                    if self.unflushed {
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    let count = room.filled().len();
                    (self.start, self.end) = (0, count);
                    self.read_all = count == 0;
                    self.busy = count >= FEW;
                }
            }
        }
    }
}
