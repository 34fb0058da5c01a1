//! Message heads from field blocks and into them (RFC 9113, section 8).

use super::settings::Limits;
use super::stream::Asks;
use crate::hpack::{Broken, Decoder, Encoder, Field, Key};
use crate::{BodyLength, Fields, Known, RequestHead, ResponseHead, Version, chars};

/// What was found in a field block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Good,
    /// Larger than we take; what was read of it is there.
    TooLarge,
    /// Nothing that may be passed on, and why.
    Malformed(&'static str),
}

/// What the fields of one block say, beside themselves.
struct Reader<'a> {
    limits: &'a Limits,
    size: usize,
    count: usize,
    wrong: Option<&'static str>,
    too_large: bool,
    /// A field that is no pseudo-field came.
    begun: bool,
    length: Option<u64>,
    /// `Host`, if it came as a field.
    host: Option<Vec<u8>>,
    seen: [bool; 6],
    protocol: Option<Vec<u8>>,
}

impl<'a> Reader<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            size: 0,
            count: 0,
            wrong: None,
            too_large: false,
            begun: false,
            length: None,
            host: None,
            seen: [false; 6],
            protocol: None,
        }
    }

    fn refuse(&mut self, reason: &'static str) {
        self.wrong = self.wrong.or(Some(reason));
    }

    /// Counts a field; false if there are more than we take.
    fn takes(&mut self, field: &Field<'_>) -> bool {
        self.size += field.name().len() + field.value().len() + 32;
        self.count += 1;
        self.too_large |= self.size > self.limits.max_head || self.count > self.limits.max_fields + 5;
        !self.too_large
    }

    /// A pseudo-field, which has its place and comes once.
    fn pseudo(&mut self, key: Key) {
        if self.begun {
            self.refuse("a pseudo-field after a field");
        }
        let at = match key {
            Key::Method => 0,
            Key::Scheme => 1,
            Key::Authority => 2,
            Key::Path => 3,
            Key::Protocol => 4,
            Key::Status => 5,
            Key::Unknown | Key::Field(_) => return self.refuse("a pseudo-field that does not exist"),
        };
        if std::mem::replace(&mut self.seen[at], true) {
            self.refuse("a pseudo-field came twice");
        }
    }

    fn field(&mut self, known: Known, field: &Field<'_>, fields: &mut Fields) {
        self.begun = true;
        let value = field.value();
        if !field.legal {
            return self.refuse(match chars::is_lower_token(field.name()) {
                true => "a field value has characters that it may not have",
                false => "a field name has characters that it may not have",
            });
        }
        match known {
            Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Upgrade => {
                return self.refuse("a field of HTTP/1's connections");
            }
            Known::Te if value != b"trailers" => return self.refuse("te is not trailers"),
            Known::ContentLength => match (chars::decimal(value), self.length) {
                (None, _) => return self.refuse("a content-length that is no number"),
                (Some(length), Some(earlier)) if length != earlier => {
                    return self.refuse("content-lengths that differ");
                }
                (Some(_), Some(_)) => return,
                (length, None) => self.length = length,
            },
            Known::Host => {
                if self.host.replace(value.to_vec()).is_some() {
                    self.refuse("two hosts");
                }
                return;
            }
            _ => {}
        }
        fields.append_whole(known, field.line, field.sensitive);
    }

    fn found(&self) -> Found {
        match self.wrong {
            Some(reason) => Found::Malformed(reason),
            None if self.too_large => Found::TooLarge,
            None => Found::Good,
        }
    }

    fn body(&self, end: bool) -> BodyLength {
        match self.length {
            _ if end => BodyLength::Empty,
            Some(length) => BodyLength::Exact(length),
            None => BodyLength::Stream,
        }
    }
}

/// Reads a request's head. An extended CONNECT (RFC 8441) becomes what HTTP/1 would have sent: a GET with `Upgrade`.
pub(super) fn request(
    decoder: &mut Decoder,
    block: &[u8],
    limits: &Limits,
    end: bool,
    head: &mut RequestHead,
) -> Result<Found, Broken> {
    head.clear();
    let mut reader = Reader::new(limits);
    decoder.decode(block, |field| {
        if !reader.takes(&field) {
            return;
        }
        match field.key {
            Key::Field(known) => return reader.field(known, &field, &mut head.fields),
            Key::Method if chars::is_token(field.value()) => head.set_method(field.value()),
            Key::Scheme if is_scheme(field.value()) => head.set_scheme(field.value()),
            Key::Authority if chars::is_authority(field.value()) => head.set_authority(field.value()),
            Key::Path if chars::is_target(field.value()) => head.set_path(field.value()),
            Key::Protocol if chars::is_token(field.value()) => reader.protocol = Some(field.value().to_vec()),
            Key::Status => reader.refuse("a request with a status"),
            _ => reader.refuse("a pseudo-field has characters that it may not have"),
        }
        reader.pseudo(field.key);
    })?;
    head.version = Version::Http2;
    head.keep_alive = true;
    if !reader.too_large {
        settle(&mut reader, head);
    }
    let claims_body = end && reader.length.is_some_and(|length| length > 0) && head.method() != b"HEAD";
    if claims_body {
        reader.refuse("a content-length without content");
    }
    head.body = reader.body(end);
    if let Some(protocol) = &reader.protocol {
        head.set_method(b"GET");
        head.fields.append(b"connection", b"upgrade");
        head.fields.append(b"upgrade", protocol);
        head.upgrade = true;
    }
    if head.upgrade || head.method() == b"CONNECT" {
        head.body = BodyLength::Empty;
    }
    head.fields.join(Known::Cookie, b"cookie", b"; ");
    Ok(reader.found())
}

/// What a request's pseudo-fields have to be together.
fn settle(reader: &mut Reader<'_>, head: &mut RequestHead) {
    if let Some(host) = reader.host.take() {
        match head.authority() {
            b"" if chars::is_authority(&host) => head.set_authority(&host),
            authority if authority.eq_ignore_ascii_case(&host) => {}
            _ => reader.refuse("host is not the authority"),
        }
    }
    let [method, scheme, authority, path, protocol, _] = reader.seen;
    let connects = head.method() == b"CONNECT";
    if !method {
        reader.refuse("no method");
    } else if connects && !protocol {
        if scheme || path || !chars::is_authority_with_port(head.authority()) {
            reader.refuse("CONNECT wants an authority and nothing else");
        }
    } else if protocol && !(connects && authority) {
        reader.refuse("a protocol without CONNECT");
    } else if !scheme || !path {
        reader.refuse("no scheme or no path");
    } else if head.path() == b"*" && head.method() != b"OPTIONS" || !matches!(head.path().first(), Some(b'/' | b'*')) {
        reader.refuse("a path that does not begin with a slash");
    }
}

fn is_scheme(text: &[u8]) -> bool {
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    text.first().is_some_and(u8::is_ascii_alphabetic) && text.iter().all(inner)
}

/// Reads a response's head. The 2xx that answers an extended CONNECT becomes the 101 that HTTP/1 has for it.
pub(super) fn response(
    decoder: &mut Decoder,
    block: &[u8],
    limits: &Limits,
    (end, asks): (bool, &Asks),
    head: &mut ResponseHead,
) -> Result<Found, Broken> {
    head.clear();
    let mut reader = Reader::new(limits);
    decoder.decode(block, |field| {
        if !reader.takes(&field) {
            return;
        }
        match field.key {
            Key::Field(Known::Host) => reader.refuse("a response with a host"),
            Key::Field(known) => reader.field(known, &field, &mut head.fields),
            Key::Status => {
                reader.pseudo(field.key);
                match chars::decimal(field.value()) {
                    Some(status @ 100..=999) if field.value().len() == 3 && status != 101 => {
                        head.status = status as u16
                    }
                    _ => reader.refuse("a status that does not exist"),
                }
            }
            _ => reader.refuse("a response with a request's pseudo-field"),
        }
    })?;
    if head.status == 0 {
        reader.refuse("no status");
    }
    if end && head.status < 200 {
        reader.refuse("an interim response that ends the stream");
    }
    head.version = Version::Http2;
    head.keep_alive = true;
    let bodiless = asks.head || matches!(head.status, 100..=199 | 204 | 304);
    head.body = if bodiless { BodyLength::Empty } else { reader.body(end) };
    if end && !bodiless && reader.length.is_some_and(|length| length > 0) {
        reader.refuse("a content-length without content");
    }
    if let Some(protocol) = asks.upgrade.as_deref().filter(|_| (200..300).contains(&head.status)) {
        head.status = 101;
        head.fields.append(b"connection", b"upgrade");
        head.fields.append(b"upgrade", protocol);
        head.body = BodyLength::Empty;
    }
    Ok(reader.found())
}

/// Reads trailers.
pub(super) fn trailers(
    decoder: &mut Decoder,
    block: &[u8],
    limits: &Limits,
    fields: &mut Fields,
) -> Result<Found, Broken> {
    fields.clear();
    let mut reader = Reader::new(limits);
    decoder.decode(block, |field| match field.key {
        _ if !reader.takes(&field) => {}
        Key::Field(known) => reader.field(known, &field, fields),
        _ => reader.refuse("trailers with a pseudo-field"),
    })?;
    Ok(reader.found())
}

/// How many bytes of body a head promises.
pub(super) fn promised(body: BodyLength) -> Option<u64> {
    match body {
        BodyLength::Exact(length) => Some(length),
        _ => None,
    }
}

/// What a request means for its response.
pub(super) fn asks(head: &RequestHead) -> Asks {
    let upgrade = head.fields.get(Known::Upgrade).filter(|_| head.upgrade).map(Into::into);
    Asks { head: head.method() == b"HEAD", tunnel: upgrade.is_some() || head.method() == b"CONNECT", upgrade }
}

/// Appends a request's field block.
pub(super) fn write_request(encoder: &mut Encoder, head: &RequestHead, asks: &Asks, out: &mut Vec<u8>) {
    encoder.begin(out);
    let plain_connect = asks.tunnel && asks.upgrade.is_none();
    let method = if asks.upgrade.is_some() { b"CONNECT" } else { head.method() };
    encoder.method(method, out);
    if !plain_connect {
        encoder.scheme(scheme(head), out);
        encoder.path(if head.path().is_empty() { b"/" } else { head.path() }, out);
    }
    if !head.authority().is_empty() {
        encoder.authority(head.authority(), out);
    }
    if let Some(protocol) = &asks.upgrade {
        encoder.protocol(protocol, out);
    }
    fields(encoder, &head.fields, length_of(head.body), out);
}

/// What the client used, as far as anybody said.
fn scheme(head: &RequestHead) -> &[u8] {
    let forwarded = || head.fields.get(Known::XForwardedProto).filter(|proto| matches!(*proto, b"http" | b"https"));
    match head.scheme() {
        b"" => forwarded().unwrap_or(b"http"),
        scheme => scheme,
    }
}

/// Appends a response's field block. `body` is how long its body will be; where it has none the length it came with
/// stays (`HEAD`, 304).
pub(super) fn write_response(encoder: &mut Encoder, head: &ResponseHead, body: BodyLength, out: &mut Vec<u8>) {
    encoder.begin(out);
    encoder.status(if head.status == 101 { 200 } else { head.status }, out);
    fields(encoder, &head.fields, length_of(body), out);
}

/// Appends trailers.
pub(super) fn write_trailers(encoder: &mut Encoder, trailers: &Fields, out: &mut Vec<u8>) {
    encoder.begin(out);
    fields(encoder, trailers, Length::None, out);
}

/// What is said of a body's length.
#[derive(Clone, Copy)]
enum Length {
    /// What the fields say.
    AsIs,
    Exact(u64),
    None,
}

fn length_of(body: BodyLength) -> Length {
    match body {
        BodyLength::Empty => Length::AsIs,
        BodyLength::Exact(length) => Length::Exact(length),
        BodyLength::Stream | BodyLength::UntilClose => Length::None,
    }
}

fn fields(encoder: &mut Encoder, fields: &Fields, length: Length, out: &mut Vec<u8>) {
    let mut lower = Vec::new();
    for (known, name, value, sensitive) in fields.iter_marked() {
        let value = match known {
            Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::Http2Settings
            | Known::Host => continue,
            Known::ContentLength if !matches!(length, Length::AsIs) => continue,
            Known::Te if !chars::list(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")) => continue,
            Known::Te => b"trailers",
            _ => chars::trim(value),
        };
        if name.iter().any(u8::is_ascii_uppercase) {
            lower.clear();
            lower.extend(name.iter().map(u8::to_ascii_lowercase));
            encoder.field(known, &lower, value, sensitive, out);
        } else {
            encoder.field(known, name, value, sensitive, out);
        }
    }
    if let Length::Exact(length) = length {
        let mut digits = itoa::Buffer::new();
        encoder.field(Known::ContentLength, b"content-length", digits.format(length).as_bytes(), false, out);
    }
}
