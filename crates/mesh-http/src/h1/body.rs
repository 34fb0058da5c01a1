//! A message's body: by length, in chunks, or until the connection closes.

use std::ops::Range;

use super::{CHARACTERS, GRAMMAR, Refused, TOO_LARGE, TOO_MANY};
use crate::{BodyLength, Fields, Known, chars};

/// Bytes of chunk extensions in one body. Nobody uses them but those who want to make us work for nothing.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// Bytes of one body's trailer section.
const MAX_TRAILERS: usize = 16 * 1024;
/// Fields of one body's trailer section.
const MAX_TRAILER_FIELDS: usize = 100;
/// Hexadecimal digits of a chunk's length, leading zeros included.
const MAX_DIGITS: u8 = 16;

/// What one call of [`BodyReader::read`] took and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that are dealt with; the caller does not show them again.
    pub consumed: usize,
    /// Where in the input there are bytes of the body; may be empty.
    pub data: Range<usize>,
    /// The body is complete, and so are its trailers.
    pub end: bool,
}

/// Reads one body, whatever delimits it, from input that arrives in any pieces.
#[derive(Clone, Debug, Default)]
pub struct BodyReader {
    state: State,
    extensions: usize,
    trailer_bytes: usize,
    line: Vec<u8>,
    trailers: Fields,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Done,
    Length(u64),
    UntilClose,
    Size {
        size: u64,
        digits: u8,
    },
    SpaceAfterSize(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    Trailer,
    TrailerLf,
}

impl BodyReader {
    /// A reader for one body.
    pub fn new(length: BodyLength) -> Self {
        let mut reader = Self::default();
        reader.restart(length);
        reader
    }

    /// Turns to the next message's body and keeps the memory.
    pub fn restart(&mut self, length: BodyLength) {
        self.state = match length {
            BodyLength::Empty | BodyLength::Exact(0) => State::Done,
            BodyLength::Exact(length) => State::Length(length),
            BodyLength::Stream => State::Size { size: 0, digits: 0 },
            BodyLength::UntilClose => State::UntilClose,
        };
        (self.extensions, self.trailer_bytes) = (0, 0);
        self.line.clear();
        self.trailers.clear();
    }

    /// True if nothing of this body is still to come. After it, the input belongs to the next message.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// True if the end of the connection is this body's proper end: there is nothing left, or it runs until close.
    pub fn may_close(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// The fields after the last chunk; complete when a step said `end`.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Takes the next piece of the body from the start of `input`: at most one run of data a call, so it is called until
    /// all input is consumed or the body ends. Never holds back data, and needs no byte twice.
    ///
    /// # Errors
    /// Chunks that are malformed or framed with unreasonable ado. The connection cannot be used any more.
    pub fn read(&mut self, input: &[u8]) -> Result<Step, Refused> {
        let mut at = 0;
        loop {
            match self.state {
                State::Done => return Ok(Step { consumed: at, data: at..at, end: true }),
                State::Length(left) => return Ok(self.counted(input, at, left, State::Done, State::Length)),
                State::Data(left) => {
                    if at == input.len() {
                        return Ok(Step { consumed: at, data: at..at, end: false });
                    }
                    return Ok(self.counted(input, at, left, State::DataCr, State::Data));
                }
                State::UntilClose => return Ok(Step { consumed: input.len(), data: at..input.len(), end: false }),
                State::Trailer => match memchr::memchr(b'\r', &input[at..]) {
                    Some(found) => {
                        self.take_trailer_text(&input[at..at + found])?;
                        at += found + 1;
                        self.state = State::TrailerLf;
                    }
                    None => {
                        self.take_trailer_text(&input[at..])?;
                        return Ok(Step { consumed: input.len(), data: 0..0, end: false });
                    }
                },
                _ => match input.get(at) {
                    Some(&byte) => {
                        self.state = self.frame(byte)?;
                        at += 1;
                    }
                    None => return Ok(Step { consumed: at, data: at..at, end: false }),
                },
            }
        }
    }

    /// Takes up to `left` bytes of data; `then` follows them, `more` holds what is still to come.
    fn counted(&mut self, input: &[u8], at: usize, left: u64, then: State, more: fn(u64) -> State) -> Step {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
        let left = left - here as u64;
        self.state = if left == 0 { then } else { more(left) };
        Step { consumed: at + here, data: at..at + here, end: self.is_done() }
    }

    /// One byte of what surrounds the data.
    fn frame(&mut self, byte: u8) -> Result<State, Refused> {
        match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < MAX_DIGITS => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
            }
            (State::Size { size, digits: 1.. }, b'\r') => Ok(State::SizeLf(size)),
            (State::Size { size, digits: 1.. }, b';') => Ok(State::Extension(size)),
            (State::Size { size, digits: 1.. } | State::SpaceAfterSize(size), b' ' | b'\t') => {
                self.count_extension().map(|()| State::SpaceAfterSize(size))
            }
            (State::SpaceAfterSize(size), b';') => Ok(State::Extension(size)),
            (State::Extension(size), b'\r') => Ok(State::SizeLf(size)),
            (State::Extension(size), _) if chars::is_value(&[byte]) => {
                self.count_extension().map(|()| State::Extension(size))
            }
            (State::SizeLf(0), b'\n') => Ok(State::Trailer),
            (State::SizeLf(size), b'\n') => Ok(State::Data(size)),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::TrailerLf, b'\n') => self.end_trailer_line(),
            _ => Err(GRAMMAR),
        }
    }

    fn count_extension(&mut self) -> Result<(), Refused> {
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS { Err(GRAMMAR) } else { Ok(()) }
    }

    fn take_trailer_text(&mut self, text: &[u8]) -> Result<(), Refused> {
        self.trailer_bytes += text.len();
        if self.trailer_bytes > MAX_TRAILERS {
            return Err(TOO_LARGE);
        }
        if memchr::memchr(b'\n', text).is_some() {
            return Err(GRAMMAR);
        }
        self.line.extend_from_slice(text);
        Ok(())
    }

    fn end_trailer_line(&mut self) -> Result<State, Refused> {
        if self.line.is_empty() {
            return Ok(State::Done);
        }
        let colon = memchr::memchr(b':', &self.line).ok_or(GRAMMAR)?;
        let (name, value) = (&self.line[..colon], chars::trim(&self.line[colon + 1..]));
        if !chars::is_token(name) || !chars::is_value(value) {
            return Err(CHARACTERS);
        }
        let known = Known::of(name);
        if matches!(known, Known::ContentLength | Known::TransferEncoding | Known::Host | Known::Trailer) {
            return Err(GRAMMAR);
        }
        if self.trailers.len() == MAX_TRAILER_FIELDS {
            return Err(TOO_MANY);
        }
        self.trailers.append_line(known, name, value);
        self.line.clear();
        Ok(State::Trailer)
    }
}
