//! What a line tells of a request or a connection, put into a format.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh_http::RequestHead;

use super::format::{Format, Value};
use crate::conn::{ConnInfo, PeerTls};
use crate::fault::Flags;
use crate::model::{AccessLogFormat, Destination, Endpoint};
use crate::record::{RequestRecord, TcpRecord};

/// What a line tells of.
pub(in crate::record) struct Line<'a> {
    conn: &'a ConnInfo,
    what: What<'a>,
    elapsed: Duration,
}

enum What<'a> {
    /// A request, as it was sent on.
    Request(&'a RequestRecord, &'a RequestHead),
    Connection(&'a TcpRecord),
}

impl<'a> Line<'a> {
    pub(in crate::record) fn request(
        conn: &'a ConnInfo,
        record: &'a RequestRecord,
        head: &'a RequestHead,
        elapsed: Duration,
    ) -> Self {
        Self { conn, what: What::Request(record, head), elapsed }
    }

    pub(in crate::record) fn connection(conn: &'a ConnInfo, record: &'a TcpRecord) -> Self {
        Self { conn, elapsed: record.began.elapsed(), what: What::Connection(record) }
    }

    /// Appends the line.
    pub(in crate::record) fn render(&self, format: &AccessLogFormat, out: &mut Vec<u8>) {
        match format {
            AccessLogFormat::Text(format) => self.expand(format, out),
            AccessLogFormat::Json(fields) => self.object(fields, out),
        }
    }

    /// What is not known is `-`.
    fn expand(&self, format: &Format, out: &mut Vec<u8>) {
        text(&format.begin, out);
        for place in &format.places {
            let start = out.len();
            self.put(&place.value, out);
            if out.len() == start {
                out.push(b'-');
            } else if place.most < usize::MAX {
                cut(out, start, place.most);
            }
            text(&place.then, out);
        }
    }

    /// One object a line. A value alone keeps its type, and is null if it is not known, as in Envoy.
    fn object(&self, fields: &[(Box<str>, Format)], out: &mut Vec<u8>) {
        let mut shown = Vec::new();
        for (position, (key, format)) in fields.iter().enumerate() {
            out.push(if position == 0 { b'{' } else { b',' });
            quote(key.as_bytes(), out);
            out.push(b':');
            shown.clear();
            match format.only_value() {
                None => {
                    self.expand(format, &mut shown);
                    quote(&shown, out);
                }
                Some(value) => {
                    self.put(value, &mut shown);
                    match shown.is_empty() {
                        true => text("null", out),
                        false if is_number(value) => out.extend_from_slice(&shown),
                        false => quote(&shown, out),
                    }
                }
            }
        }
        text(if fields.is_empty() { "{}\n" } else { "}\n" }, out);
    }

    /// Appends a value; nothing if it is not known.
    fn put(&self, value: &Value, out: &mut Vec<u8>) {
        let conn = self.conn;
        match value {
            Value::StartTime => timestamp(self.time(), out),
            Value::Duration => number(self.elapsed.as_millis() as u64, out),
            Value::DownstreamRemoteAddress => address(conn.peer, out),
            Value::DownstreamRemoteAddressWithoutPort => show(conn.peer.ip(), out),
            Value::DownstreamLocalAddress => address(conn.destination, out),
            Value::DownstreamLocalAddressWithoutPort => show(conn.destination.ip(), out),
            Value::DownstreamPeerUriSan => {
                let uris = conn.tls.iter().flat_map(PeerTls::uri_sans);
                uris.enumerate().for_each(|(position, uri)| {
                    if position > 0 {
                        out.push(b',');
                    }
                    put_text(uri.as_bytes(), out);
                });
            }
            Value::DownstreamTlsVersion => text(conn.tls.as_ref().map_or("", |tls| tls.version), out),
            Value::RequestedServerName => put_text(conn.sni.as_deref().unwrap_or_default().as_bytes(), out),
            _ => match &self.what {
                What::Request(record, head) => put_of_request(record, head, value, out),
                What::Connection(record) => put_of_connection(record, value, out),
            },
        }
        if *value == Value::Audited
            && let Some(audited) = self.audited()
        {
            show(audited, out);
        }
    }

    fn audited(&self) -> Option<bool> {
        match &self.what {
            What::Request(record, _) => record.audited,
            What::Connection(_) => self.conn.audited,
        }
    }

    fn time(&self) -> SystemTime {
        match &self.what {
            What::Request(record, _) => record.time,
            What::Connection(record) => record.time,
        }
    }
}

fn put_of_request(record: &RequestRecord, head: &RequestHead, value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Protocol => text(record.version.as_str(), out),
        Value::ResponseCode => number(record.status.into(), out),
        Value::ResponseCodeDetails => match &record.details {
            Cow::Borrowed(ours) => text(ours, out),
            Cow::Owned(told) => put_text(told.as_bytes(), out),
        },
        Value::ResponseFlags => flags(record.flags, out),
        Value::BytesReceived => number(record.received, out),
        Value::BytesSent => number(record.sent, out),
        Value::UpstreamCluster => cluster(record.destination.as_ref(), out),
        Value::UpstreamHost => upstream(record.endpoint.as_deref(), out),
        Value::UpstreamLocalAddress => record.upstream_local.into_iter().for_each(|local| address(local, out)),
        Value::UpstreamRequestAttemptCount => number(record.attempts.into(), out),
        Value::UpstreamTransportFailureReason => {
            put_text(record.upstream_failure.as_deref().unwrap_or_default().as_bytes(), out);
        }
        Value::RouteName => text(record.route.as_ref().map_or("", |route| &route.name), out),
        Value::GrpcStatus => record.grpc_status.into_iter().for_each(|status| number(status.into(), out)),
        Value::Request(parts) => put_first(parts.iter().filter_map(|part| part.of_request(head)), out),
        Value::Response(parts) => {
            let Some(response) = &record.response else { return };
            put_first(parts.iter().filter_map(|part| part.of_fields(&response.fields)), out);
        }
        _ => {}
    }
}

fn put_of_connection(record: &TcpRecord, value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::ResponseCode => out.push(b'0'),
        Value::ResponseFlags => flags(record.flags, out),
        Value::BytesReceived => number(record.received, out),
        Value::BytesSent => number(record.sent, out),
        Value::UpstreamCluster => cluster(record.destination.as_ref(), out),
        Value::UpstreamHost => upstream(record.endpoint.as_deref(), out),
        Value::UpstreamTransportFailureReason => {
            put_text(record.failure.as_deref().unwrap_or_default().as_bytes(), out);
        }
        _ => {}
    }
}

fn put_first<'a>(mut values: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    if let Some(value) = values.find(|value| !value.is_empty()) {
        put_text(value, out);
    }
}

/// Bytes from elsewhere: nobody writes lines of their own into the log.
fn put_text(bytes: &[u8], out: &mut Vec<u8>) {
    // Looks at every byte, without a branch for each: texts are short.
    if bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~')) {
        return out.extend_from_slice(bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    let mut utf8 = [0; 4];
    text.chars().filter(|c| !c.is_control()).for_each(|c| out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()));
}

fn text(text: &str, out: &mut Vec<u8>) {
    match text.as_bytes() {
        // Most texts between two values.
        [one] => out.push(*one),
        text => out.extend_from_slice(text),
    }
}

fn number(value: u64, out: &mut Vec<u8>) {
    text(itoa::Buffer::new().format(value), out);
}

fn show(value: impl Display, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{value}");
}

fn flags(flags: Flags, out: &mut Vec<u8>) {
    if flags.is_empty() { out.push(b'-') } else { show(flags, out) }
}

fn cluster(destination: Option<&Destination>, out: &mut Vec<u8>) {
    destination.into_iter().for_each(|destination| text(destination.name(), out));
}

fn upstream(endpoint: Option<&Endpoint>, out: &mut Vec<u8>) {
    endpoint.into_iter().for_each(|endpoint| address(endpoint.address, out));
}

/// As its `Display`, which takes several times as long: a line has four of them.
fn address(address: SocketAddr, out: &mut Vec<u8>) {
    let SocketAddr::V4(v4) = address else { return show(address, out) };
    let mut text = [0; "255.255.255.255:65535".len()];
    let mut end = 0;
    for octet in v4.ip().octets() {
        let digits = &OCTETS[usize::from(octet)];
        text[end..end + 4].copy_from_slice(&digits.text);
        end += digits.length;
    }
    text[end - 1] = b':';
    let mut port = itoa::Buffer::new();
    let port = port.format(v4.port()).as_bytes();
    text[end..end + port.len()].copy_from_slice(port);
    out.extend_from_slice(&text[..end + port.len()]);
}

/// The digits of an octet and a dot.
struct Octet {
    text: [u8; 4],
    length: usize,
}

static OCTETS: [Octet; 256] = octets();

const fn octets() -> [Octet; 256] {
    let mut all = [const { Octet { text: [0; 4], length: 0 } }; 256];
    let mut number = 0;
    while number < 256 {
        let (hundreds, tens, ones) = ((number / 100) as u8, (number / 10 % 10) as u8, (number % 10) as u8);
        all[number] = match number {
            ..10 => Octet { text: [b'0' + ones, b'.', 0, 0], length: 2 },
            10..100 => Octet { text: [b'0' + tens, b'0' + ones, b'.', 0], length: 3 },
            100.. => Octet { text: [b'0' + hundreds, b'0' + tens, b'0' + ones, b'.'], length: 4 },
        };
        number += 1;
    }
    all
}

/// As a string of JSON.
fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out, &String::from_utf8_lossy(bytes));
}

/// Cuts what begins at `start` to so many characters.
fn cut(out: &mut Vec<u8>, start: usize, length: usize) {
    let begins = |byte: &u8| !matches!(byte, 0x80..=0xbf);
    let mut characters = out[start..].iter().enumerate().filter(|(_, byte)| begins(byte));
    if let Some((end, _)) = characters.nth(length) {
        out.truncate(start + end);
    }
}

fn is_number(value: &Value) -> bool {
    matches!(
        value,
        Value::Duration
            | Value::ResponseCode
            | Value::BytesReceived
            | Value::BytesSent
            | Value::UpstreamRequestAttemptCount
            | Value::GrpcStatus
    )
}

thread_local! {
    /// The text of the second that was written last: most lines of a second come together.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// `2026-01-31T12:00:00.000Z`.
fn timestamp(time: SystemTime, out: &mut Vec<u8>) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    SECOND.with_borrow_mut(|(known, second)| {
        if *known != seconds || second.is_empty() {
            let time =
                jiff::Timestamp::new(i64::try_from(seconds).unwrap_or(i64::MAX), 0).unwrap_or(jiff::Timestamp::MAX);
            *second = time.to_string();
            second.truncate(second.len() - 1);
            *known = seconds;
        }
        text(second, out);
    });
    let millis = since.subsec_millis();
    let digits = [millis / 100, millis / 10 % 10, millis % 10].map(|digit| b'0' + digit as u8);
    out.push(b'.');
    out.extend(digits);
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Flag;
    use crate::model::ListenerKind;
    use mesh_http::ResponseHead;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn addresses_are_as_rust_shows_them(ip in any::<[u8; 4]>(), port in any::<u16>()) {
            let mut out = Vec::new();
            address((ip, port).into(), &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), SocketAddr::from((ip, port)).to_string());
        }
    }

    fn conn() -> ConnInfo {
        let address = |last| SocketAddr::from(([10, 0, 0, last], 80));
        ConnInfo {
            sni: Some("a\nb".into()),
            ..ConnInfo::new(ListenerKind::Inbound, "l".into(), address(2), address(1))
        }
    }

    fn line(format: &AccessLogFormat) -> String {
        let mut head = RequestHead::default();
        head.set_method(b"GET");
        head.set_path(b"/new");
        head.fields.append(b"x-envoy-original-path", b"/old");
        head.fields.append(b"x-odd", "a\tb\u{e9}\"".as_bytes());
        let mut record = RequestRecord::begin(&head);
        record.time = UNIX_EPOCH + Duration::from_millis(1_001);
        record.flags.insert(Flag::NoRoute);
        let mut response = ResponseHead { status: 404, ..ResponseHead::default() };
        response.fields.append(b"x-told", b"yes");
        record.status = 404;
        record.response = Some(response.into());
        let mut out = Vec::new();
        Line::request(&conn(), &record, &head, Duration::from_millis(7)).render(format, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_tells_what_is_known_and_nobody_breaks_it() {
        let text = |format| line(&AccessLogFormat::Text(Format::parse(format)));
        assert_eq!(
            text(
                "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%\" %RESPONSE_CODE% %RESPONSE_FLAGS%"
            ),
            "[1970-01-01T00:00:01.001Z] \"GET /old\" 404 NR"
        );
        assert_eq!(text("%REQ(x-odd)% %REQ(X-ODD):2% %RESP(x-told)%"), "abé\" ab yes");
        assert_eq!(text("%REQUESTED_SERVER_NAME% %UPSTREAM_HOST% %DURATION% %NEW%"), "ab - 7 -");
    }

    #[test]
    fn json_keeps_types() {
        let field = |key: &str, format| (key.into(), Format::parse(format));
        let fields = vec![
            field("code", "%RESPONSE_CODE%"),
            field("host", "%UPSTREAM_HOST%"),
            field("odd", "%REQ(x-odd)%"),
            field("two", "%DURATION%ms"),
        ];
        let line = line(&AccessLogFormat::Json(fields));
        assert_eq!(line, "{\"code\":404,\"host\":null,\"odd\":\"abé\\\"\",\"two\":\"7ms\"}\n");
    }
}
