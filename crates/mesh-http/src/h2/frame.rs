//! Frames: nine bytes that say what follows (RFC 9113, section 4.1).

/// What a client begins a connection with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes before each payload.
pub(super) const HEADER: usize = 9;
/// The largest payload that we take: the least that is allowed, so that frames of many streams mix well.
pub(super) const LARGEST: usize = 16_384;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const HAS_PRIORITY: u8 = 0x20;

/// Why a stream or a connection is over (RFC 9113, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named as in the RFC")]
pub enum Code {
    NoError,
    Protocol,
    Internal,
    FlowControl,
    SettingsTimeout,
    StreamClosed,
    FrameSize,
    RefusedStream,
    Cancel,
    Compression,
    Connect,
    EnhanceYourCalm,
    InadequateSecurity,
    Http11Required,
    Other(u32),
}

const CODES: [Code; 14] = [
    Code::NoError,
    Code::Protocol,
    Code::Internal,
    Code::FlowControl,
    Code::SettingsTimeout,
    Code::StreamClosed,
    Code::FrameSize,
    Code::RefusedStream,
    Code::Cancel,
    Code::Compression,
    Code::Connect,
    Code::EnhanceYourCalm,
    Code::InadequateSecurity,
    Code::Http11Required,
];

impl Code {
    pub(super) fn of(number: u32) -> Self {
        CODES.get(number as usize).copied().unwrap_or(Self::Other(number))
    }

    pub(super) fn number(self) -> u32 {
        match self {
            Self::Other(number) => number,
            known => CODES.iter().position(|code| *code == known).unwrap_or_default() as u32,
        }
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Header {
    /// `None` if there is not a whole one.
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let bytes = input.first_chunk::<HEADER>()?;
        Some(Self {
            length: usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]),
            kind: bytes[3],
            flags: bytes[4],
            stream: number(&bytes[5..]) & 0x7fff_ffff,
        })
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Four bytes as a number; missing ones are zeros.
pub(super) fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Appends the header of a frame.
pub(super) fn begin(length: usize, kind: u8, flags: u8, stream: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&header(length, kind, flags, stream));
}

fn header(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEADER] {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [a, b, c, kind, flags, d, e, f, g]
}

pub(super) fn reset(stream: u32, code: Code, out: &mut Vec<u8>) {
    begin(4, RST_STREAM, 0, stream, out);
    out.extend_from_slice(&code.number().to_be_bytes());
}

pub(super) fn window_update(stream: u32, credit: u32, out: &mut Vec<u8>) {
    begin(4, WINDOW_UPDATE, 0, stream, out);
    out.extend_from_slice(&credit.to_be_bytes());
}

pub(super) fn ping(flags: u8, data: &[u8], out: &mut Vec<u8>) {
    begin(8, PING, flags, 0, out);
    out.extend_from_slice(data);
}

pub(super) fn goaway(last: u32, code: Code, reason: &str, out: &mut Vec<u8>) {
    begin(8 + reason.len(), GOAWAY, 0, 0, out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.number().to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends a field block as one HEADERS frame and as many CONTINUATIONs as the peer's limit asks for. `block` was
/// written to the end of `out`, from `start`, with room for the first header before it.
pub(super) fn finish_headers(start: usize, stream: u32, end: bool, largest: usize, out: &mut Vec<u8>) {
    let length = out.len() - start - HEADER;
    let flags = if end { END_STREAM } else { 0 };
    if length <= largest {
        out[start..start + HEADER].copy_from_slice(&header(length, HEADERS, flags | END_HEADERS, stream));
        return;
    }
    let block = out.split_off(start + HEADER);
    out.truncate(start);
    let mut pieces = block.chunks(largest).peekable();
    let mut kind = (HEADERS, flags);
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        begin(piece.len(), kind.0, kind.1 | last, stream, out);
        out.extend_from_slice(piece);
        kind = (CONTINUATION, 0);
    }
}

/// Where a block is to be written: leaves room for the header.
pub(super) fn start_headers(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    start
}
