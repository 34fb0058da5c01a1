//! Heads and chunks appended to the caller's buffer.
//!
//! Fields are written in their order and case. What belongs to one hop is left out (RFC 9110, section 7.6.1) and the
//! framing is written from what the caller says, never from the fields; where the message had a framing field of its
//! own, the new one takes its place and its case.

use super::ResponseTo;
use crate::{BodyLength, Fields, Known, RequestHead, ResponseHead, Version, chars};

/// Appends a request head, as HTTP/1.1 in origin form (`CONNECT` in authority form).
///
/// `framing` says how the body will be written: [`BodyLength::Exact`] as is, [`BodyLength::Stream`] (and
/// [`BodyLength::UntilClose`], which a request cannot be) in chunks. The connection is always kept alive.
pub fn write_request(head: &RequestHead, framing: BodyLength, out: &mut Vec<u8>) {
    let mut writer = Writer { out, clean: head.text_is_clean() };
    writer.out.reserve(head.fields.size_hint() + head.path().len() + head.authority().len() + 128);
    let target = match (head.method(), head.path()) {
        (b"CONNECT", _) => head.authority(),
        (_, b"") => b"/",
        (_, path) => path,
    };
    writer.text(head.method());
    writer.raw(b" ");
    writer.text(target);
    writer.raw(b" HTTP/1.1\r\n");
    writer.field(if head.host_name().is_empty() { b"host" } else { head.host_name() }, head.authority());
    let connection = if head.upgrade { Connection::Upgrade } else { Connection::Unsaid };
    let framing = match framing {
        BodyLength::Empty if matches!(head.method(), b"POST" | b"PUT" | b"PATCH") => Framing::Length(0),
        BodyLength::Empty => Framing::None,
        BodyLength::Exact(length) => Framing::Length(length),
        BodyLength::Stream | BodyLength::UntilClose => Framing::Chunked,
    };
    writer.fields(&head.fields, framing, connection);
}

/// Appends a response head.
///
/// `to` is what it answers, `framing` how the body will be written; for a response that cannot have a body (`HEAD`, 1xx,
/// 204, 304) the framing is ignored, and `HEAD` and 304 keep the length they came with. A client that speaks HTTP/1.0
/// gets its own version back and no chunks: for it, [`BodyLength::Stream`] is written until close, and the caller has to
/// close. `keep_alive` is whether the connection will serve another request.
pub fn write_response(head: &ResponseHead, to: ResponseTo, framing: BodyLength, keep_alive: bool, out: &mut Vec<u8>) {
    let mut writer = Writer { out, clean: true };
    writer.out.reserve(head.fields.size_hint() + 128);
    let old = to.version == Version::Http10;
    let framing = response_framing(head, to, framing);
    let connection = match (head.status, framing) {
        (101, _) => Connection::Upgrade,
        (100..=199, _) => Connection::Unsaid,
        (_, Framing::None) if !to.has_no_body(head.status) => Connection::Close,
        _ if !keep_alive => Connection::Close,
        _ if old => Connection::KeepAlive,
        _ => Connection::Unsaid,
    };
    writer.raw(if old { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    writer.number(u64::from(head.status));
    writer.raw(b" ");
    writer.raw(reason(head.status).as_bytes());
    writer.raw(b"\r\n");
    writer.fields(&head.fields, framing, connection);
}

fn response_framing(head: &ResponseHead, to: ResponseTo, framing: BodyLength) -> Framing {
    if to.has_no_body(head.status) {
        let tells_length = head.status == 304 || to.head && !matches!(head.status, 100..=199 | 204);
        let length = head.fields.get(Known::ContentLength).filter(|_| tells_length);
        return length.and_then(chars::decimal).map_or(Framing::None, Framing::Length);
    }
    match framing {
        BodyLength::Empty => Framing::Length(0),
        BodyLength::Exact(length) => Framing::Length(length),
        BodyLength::Stream if to.version == Version::Http10 => Framing::None,
        BodyLength::Stream => Framing::Chunked,
        BodyLength::UntilClose => Framing::None,
    }
}

/// Appends one chunk; nothing if `data` is empty, since an empty chunk would end the body.
pub fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    write_chunk_head(data.len(), out);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line before a chunk of `length` bytes. The caller sends the bytes and then CR LF by itself.
pub fn write_chunk_head(length: usize, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 18];
    let mut at = digits.len() - 2;
    let mut left = length;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
        if left == 0 {
            break;
        }
    }
    digits[16..].copy_from_slice(b"\r\n");
    out.extend_from_slice(&digits[at..]);
}

/// Appends the last chunk and the trailers. Fields that frame or route a message are left out of them.
pub fn write_last_chunk(trailers: &Fields, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    let is_left_out = |known| {
        matches!(
            known,
            Known::Connection
                | Known::ContentLength
                | Known::Host
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::Te
                | Known::Trailer
                | Known::TransferEncoding
                | Known::Upgrade
        )
    };
    trailers.write_lines(out, is_left_out, |_, _, _, _| {});
    out.extend_from_slice(b"\r\n");
}

#[derive(Clone, Copy)]
enum Framing {
    None,
    Length(u64),
    Chunked,
}

#[derive(Clone, Copy)]
enum Connection {
    Unsaid,
    KeepAlive,
    Close,
    Upgrade,
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// No text that is to be written has a byte that could end a line.
    clean: bool,
}

impl Writer<'_> {
    fn raw(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    /// Text from elsewhere. The codecs let no line end in, so one here is an error of ours: it becomes a space.
    fn text(&mut self, text: &[u8]) {
        let start = self.out.len();
        self.out.extend_from_slice(text);
        if !self.clean {
            self.out[start..].iter_mut().filter(|b| matches!(b, b'\r' | b'\n' | 0)).for_each(|b| *b = b' ');
        }
    }

    fn number(&mut self, number: u64) {
        self.raw(itoa::Buffer::new().format(number).as_bytes());
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.text(name);
        self.raw(b": ");
        self.text(value);
        self.raw(b"\r\n");
    }

    /// Writes the end-to-end fields, the framing, the connection's option and the empty line.
    fn fields(&mut self, fields: &Fields, framing: Framing, connection: Connection) {
        let (mut framed, mut connected) = (false, false);
        fields.write_lines(self.out, is_of_one_hop, |known, name, value, out| {
            let mut writer = Writer { out, clean: true };
            match known {
                Known::ContentLength | Known::TransferEncoding => {
                    framed = framed || writer.framing_in_place(known, name, framing)
                }
                Known::Connection => connected = connected || writer.connection(name, connection),
                Known::Upgrade if matches!(connection, Connection::Upgrade) => writer.field(name, value),
                Known::Te if chars::list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")) => {
                    writer.field(name, b"trailers");
                }
                _ => {}
            }
        });
        if !framed {
            self.framing(framing);
        }
        if !connected {
            self.connection(b"connection", connection);
        }
        self.raw(b"\r\n");
    }

    /// Writes the framing under the name that the message's own framing had; says whether it did.
    fn framing_in_place(&mut self, known: Known, name: &[u8], framing: Framing) -> bool {
        match (known, framing) {
            (Known::ContentLength, Framing::Length(length)) => {
                self.text(name);
                self.raw(b": ");
                self.number(length);
                self.raw(b"\r\n");
                true
            }
            (Known::TransferEncoding, Framing::Chunked) => {
                self.field(name, b"chunked");
                true
            }
            _ => false,
        }
    }

    fn framing(&mut self, framing: Framing) {
        match framing {
            Framing::None => {}
            Framing::Length(_) => _ = self.framing_in_place(Known::ContentLength, b"content-length", framing),
            Framing::Chunked => self.raw(b"transfer-encoding: chunked\r\n"),
        }
    }

    fn connection(&mut self, name: &[u8], connection: Connection) -> bool {
        let option: &[u8] = match connection {
            Connection::Unsaid => return false,
            Connection::KeepAlive => b"keep-alive",
            Connection::Close => b"close",
            Connection::Upgrade => b"upgrade",
        };
        self.field(name, option);
        true
    }
}

/// Fields that are not passed on as they came.
fn is_of_one_hop(known: Known) -> bool {
    matches!(
        known,
        Known::ContentLength
            | Known::TransferEncoding
            | Known::Connection
            | Known::Upgrade
            | Known::Te
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Http2Settings
            | Known::Host
    )
}

/// The phrase of RFC 9110 for a status; empty for one that is not registered.
fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}
