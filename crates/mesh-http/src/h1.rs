//! HTTP/1.0 and HTTP/1.1 (RFC 9112): heads and bodies read from the bytes at hand, heads and bodies appended to a buffer.
//!
//! Reading is in two steps that hold no bytes of their own: [`parse_request`] or [`parse_response`] takes a whole head
//! or nothing, then a [`BodyReader`] takes the body piece by piece. Writing appends to the caller's `Vec<u8>`.

mod body;
mod request;
mod response;
mod write;

pub use body::{BodyReader, Step};
pub use request::parse_request;
pub use response::{ResponseTo, parse_response};
pub use write::{write_chunk, write_chunk_head, write_last_chunk, write_request, write_response};

use crate::chars;

/// More fields than this are refused whatever [`Limits::max_fields`] says: they are parsed on the stack.
pub const MOST_FIELDS: usize = 256;

/// Empty lines that may precede a start line (RFC 9112, section 2.2): a lenient client ends a body with one.
const EMPTY_LINES: usize = 4;

/// More options than this in `Connection` are refused: each is a search among the fields.
const CONNECTION_OPTIONS: usize = 32;

/// Bounds of a message head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a head, start line and empty line included (Envoy's `max_request_headers_kb`, 60 KiB there).
    pub max_head: usize,
    /// Fields of a head (Envoy's `max_headers_count`); at most [`MOST_FIELDS`].
    pub max_fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_head: 64 * 1024, max_fields: 100 }
    }
}

/// A message that is not passed on. After it the connection has to be closed, since nobody knows where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({status})")]
pub struct Refused {
    /// What to answer the client: 4xx or 5xx for requests, 502 for responses.
    pub status: u16,
    /// Why, in the words of Envoy's response code details.
    pub reason: &'static str,
}

impl Refused {
    const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason }
    }
}

const GRAMMAR: Refused = Refused::new(400, "http1.codec_error");
const CHARACTERS: Refused = Refused::new(400, "http1.invalid_characters");
const TARGET: Refused = Refused::new(400, "http1.invalid_url");
const HOST: Refused = Refused::new(400, "http1.invalid_host");
const LENGTH_AND_CHUNKED: Refused = Refused::new(400, "http1.content_length_and_chunked_not_allowed");
const LENGTH: Refused = Refused::new(400, "http1.content_length_not_allowed");
const CODING: Refused = Refused::new(501, "http1.invalid_transfer_encoding");
const ENDLESS: Refused = Refused::new(400, "http1.invalid_transfer_encoding");
const CODING_NOT_ALLOWED: Refused = Refused::new(400, "http1.transfer_encoding_not_allowed");
const CONNECTION: Refused = Refused::new(400, "http1.connection_header_rejected");
const TOO_LARGE: Refused = Refused::new(431, "http1.headers_too_large");
const TOO_MANY: Refused = Refused::new(431, "http1.too_many_headers");
const VERSION: Refused = Refused::new(505, "http1.invalid_version");

/// How many bytes of empty lines precede the start line; `None` if that is not known yet.
fn empty_lines(input: &[u8]) -> Result<Option<usize>, Refused> {
    let mut skipped = 0;
    loop {
        match &input[skipped..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if skipped < 2 * EMPTY_LINES => skipped += 2,
            [b'\r' | b'\n', ..] => return Err(GRAMMAR),
            _ => return Ok(Some(skipped)),
        }
    }
}

/// What the grammar's refusal is in ours.
fn refusal(error: httparse::Error) -> Refused {
    match error {
        httparse::Error::TooManyHeaders => TOO_MANY,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => CHARACTERS,
        httparse::Error::Version => VERSION,
        _ => GRAMMAR,
    }
}

/// Every line of a head ends with CR LF: a lone LF is a line end to some and not to others. Looks at every byte, without a
/// branch for each: lines are short.
fn lines_are_strict(head: &[u8]) -> bool {
    let Some((first, rest)) = head.split_first() else { return true };
    let is_lone = |before: u8, byte: u8| (byte == b'\n') & (before != b'\r');
    *first != b'\n' && !head.iter().zip(rest).fold(false, |lone, (before, byte)| lone | is_lone(*before, *byte))
}

/// What the fields of a head say about its body and its connection, gathered while they are stored.
#[derive(Default)]
struct Facts {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    /// `Connection` names other fields.
    nominates: bool,
    options: usize,
}

impl Facts {
    /// A `Content-Length`; says whether it is the first, so that repetitions are stored once.
    fn content_length(&mut self, value: &[u8]) -> Result<bool, Refused> {
        let length = chars::decimal(value).ok_or(LENGTH)?;
        match self.length.replace(length) {
            None => Ok(true),
            Some(earlier) if earlier == length => Ok(false),
            Some(_) => Err(LENGTH),
        }
    }

    /// A `Transfer-Encoding`: `chunked`, once, and nothing else. Other codings before it are not implemented; unless it is
    /// the last, and only there, nobody knows where the body ends (RFC 9112, sections 6.1 and 6.3).
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refused> {
        let is_chunked = |coding: &[u8]| chars::trim(coding).eq_ignore_ascii_case(b"chunked");
        if !self.chunked && is_chunked(value) {
            self.chunked = true;
            return Ok(());
        }
        let mut codings = value.split(|&byte| byte == b',');
        let ends = codings.next_back().is_some_and(is_chunked) && !self.chunked && !codings.any(is_chunked);
        Err(if ends { CODING } else { ENDLESS })
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), Refused> {
        for option in chars::list(value) {
            self.options += 1;
            if self.options > CONNECTION_OPTIONS {
                return Err(CONNECTION);
            }
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                _ => self.nominates = true,
            }
        }
        Ok(())
    }

    /// Length and chunking together are the classic of request smuggling.
    fn check_framing(&self, version: u8) -> Result<(), Refused> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(LENGTH_AND_CHUNKED),
            (true, None) if version == 0 => Err(CODING_NOT_ALLOWED),
            _ => Ok(()),
        }
    }

    fn keeps_alive(&self, version: u8) -> bool {
        !self.close && (version == 1 || self.keep_alive)
    }
}

/// The fields of a head, on their way into [`crate::Fields`] as they stand.
struct Lines {
    /// Address of the first byte, and where that is in the fields' buffer.
    from: usize,
    to: usize,
}

impl Lines {
    /// Copies the part of a head that holds its fields.
    fn begin(text: &[u8], headers: &[httparse::Header<'_>], fields: &mut crate::Fields) -> Self {
        let start = headers.first().map_or(text.len(), |first| offset(text, first.name.as_bytes()));
        let lines = &text[start..];
        Self { from: lines.as_ptr().addr(), to: fields.begin_lines(lines) }
    }

    fn append(&self, known: crate::Known, header: &httparse::Header<'_>, fields: &mut crate::Fields) {
        // The parser need not say where nothing stands.
        if header.value.is_empty() {
            return fields.append_line(known, header.name.as_bytes(), b"");
        }
        let place = |part: &[u8]| {
            let start = part.as_ptr().addr() - self.from + self.to;
            start..start + part.len()
        };
        fields.append_part(known, place(header.name.as_bytes()), place(header.value));
    }
}

/// Where a part of a text begins in it.
fn offset(text: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// Removes the fields that `Connection` names (RFC 9110, section 7.6.1). It is done on receipt, before anybody looks at
/// the fields, so that a peer cannot make a later hop lose what the mesh itself has added.
fn remove_nominated(headers: &[httparse::Header<'_>], fields: &mut crate::Fields) {
    use crate::Known;
    for header in headers.iter().filter(|h| h.name.eq_ignore_ascii_case("connection")) {
        for option in chars::list(header.value) {
            let framing = matches!(
                Known::of(option),
                Known::Host
                    | Known::ContentLength
                    | Known::TransferEncoding
                    | Known::Te
                    | Known::Upgrade
                    | Known::Connection
            );
            if !framing {
                fields.remove(option);
            }
        }
    }
}
