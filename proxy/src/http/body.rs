//! Bodies on HTTP/1 connections, in and out, and the pieces in which every body travels.

use std::task::{Context, Poll, ready};

use mesh_http::h1::{self, BodyReader, Refused, Step};
use mesh_http::{BodyLength, Fields};

use super::buffer::READ;
use super::wire::Wire;

/// The next of a body.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// Bytes; the reader says how many it used.
    Data(&'a [u8]),
    /// There is no more, but perhaps trailers. Said again for whoever asks again.
    End(Option<&'a Fields>),
}

/// Why a body cannot be read to its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It breaks the grammar.
    Grammar(Refused),
    /// The connection closed before its end.
    Closed,
    /// The connection failed.
    Io(std::io::Error),
}

/// The reading of a body.
#[derive(Debug, Default)]
pub(crate) struct BodyIn {
    reader: BodyReader,
    step: Option<Step>,
    /// Bytes of body so far, framing aside.
    pub(crate) bytes: u64,
}

impl BodyIn {
    pub(crate) fn restart(&mut self, length: BodyLength) {
        self.reader.restart(length);
        self.step = None;
        self.bytes = 0;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.step.is_none() && self.reader.is_done()
    }

    /// The next piece from the connection.
    pub(crate) fn poll<'a>(&'a mut self, wire: &'a mut Wire, cx: &mut Context<'_>) -> Poll<Result<Piece<'a>, Broken>> {
        loop {
            match self.step.take() {
                Some(step) if !step.data.is_empty() => {
                    let data = step.data.clone();
                    self.step = Some(step);
                    return Poll::Ready(Ok(Piece::Data(&wire.input.unread()[data])));
                }
                Some(step) => wire.input.consume(step.consumed),
                None => {}
            }
            if self.reader.is_done() {
                let trailers = self.reader.trailers();
                return Poll::Ready(Ok(Piece::End((!trailers.is_empty()).then_some(trailers))));
            }
            if !wire.input.is_empty() {
                let step = self.reader.read(wire.input.unread()).map_err(Broken::Grammar)?;
                if step.consumed > 0 || step.end {
                    self.step = Some(step);
                    continue;
                }
            }
            match ready!(wire.poll_fill(cx, READ)) {
                Ok(0) if self.reader.may_close() => self.reader.restart(BodyLength::Empty),
                Ok(0) => return Poll::Ready(Err(Broken::Closed)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Broken::Io(error))),
            }
        }
    }

    /// Marks bytes of the last piece as used.
    pub(crate) fn consume(&mut self, wire: &mut Wire, count: usize) {
        let Some(step) = &mut self.step else { return };
        self.bytes += count as u64;
        step.data.start = (step.data.start + count).min(step.data.end);
        if step.data.is_empty() {
            wire.input.consume(step.consumed);
            self.step = None;
        }
    }
}

/// The writing of a body.
#[derive(Debug, Default)]
pub(crate) struct BodyOut {
    length: BodyLength,
    /// Bytes of body so far, framing aside.
    pub(crate) bytes: u64,
}

impl BodyOut {
    pub(crate) fn restart(&mut self, length: BodyLength) {
        *self = Self { length, bytes: 0 };
    }

    /// Appends bytes. More than was declared is left out: the other side would take it for the next message.
    pub(crate) fn write(&mut self, data: &[u8], out: &mut Vec<u8>) {
        let data = match self.length {
            BodyLength::Empty => return,
            BodyLength::Exact(length) => {
                let left = usize::try_from(length - self.bytes.min(length)).unwrap_or(usize::MAX);
                &data[..data.len().min(left)]
            }
            BodyLength::Stream | BodyLength::UntilClose => data,
        };
        self.bytes += data.len() as u64;
        match self.length {
            BodyLength::Stream => h1::write_chunk(data, out),
            _ => out.extend_from_slice(data),
        }
    }

    /// Ends the body; false if it is shorter than was declared, so that the connection must not go on.
    pub(crate) fn finish(&mut self, trailers: Option<&Fields>, out: &mut Vec<u8>) -> bool {
        match self.length {
            BodyLength::Stream => {
                match trailers {
                    Some(trailers) => h1::write_last_chunk(trailers, out),
                    None => out.extend_from_slice(b"0\r\n\r\n"),
                }
                true
            }
            BodyLength::Exact(length) => self.bytes == length,
            BodyLength::Empty | BodyLength::UntilClose => true,
        }
    }
}
