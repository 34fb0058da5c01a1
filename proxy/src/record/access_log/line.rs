//! What a line tells of a request or a connection, put into a format.

use std::cell::RefCell;
use std::fmt::{Display, Write};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh_http::RequestHead;

use super::format::{Format, Piece, Value};
use crate::conn::ConnInfo;
use crate::fault::Flags;
use crate::model::{AccessLogFormat, Endpoint};
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
    pub(in crate::record) fn render(&self, format: &AccessLogFormat, out: &mut String) {
        match format {
            AccessLogFormat::Text(format) => self.expand(format, out),
            AccessLogFormat::Json(fields) => self.object(fields, out),
        }
    }

    /// What is not known is `-`.
    fn expand(&self, format: &Format, out: &mut String) {
        for piece in format.pieces() {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(value, length) => {
                    let start = out.len();
                    self.put(value, out);
                    if out.len() == start {
                        out.push('-');
                    } else if *length < usize::MAX {
                        cut(out, start, *length);
                    }
                }
            }
        }
    }

    /// One object a line. A value alone keeps its type, and is null if it is not known, as in Envoy.
    fn object(&self, fields: &[(Box<str>, Format)], out: &mut String) {
        let mut text = String::new();
        for (position, (key, format)) in fields.iter().enumerate() {
            out.push(if position == 0 { '{' } else { ',' });
            quote(key, out);
            out.push(':');
            text.clear();
            match format.only_value() {
                None => {
                    self.expand(format, &mut text);
                    quote(&text, out);
                }
                Some(value) => {
                    self.put(value, &mut text);
                    match text.is_empty() {
                        true => out.push_str("null"),
                        false if is_number(value) => out.push_str(&text),
                        false => quote(&text, out),
                    }
                }
            }
        }
        out.push_str(if fields.is_empty() { "{}\n" } else { "}\n" });
    }

    /// Appends a value; nothing if it is not known.
    fn put(&self, value: &Value, out: &mut String) {
        let conn = self.conn;
        match value {
            Value::StartTime => timestamp(self.time(), out),
            Value::Duration => number(self.elapsed.as_millis() as u64, out),
            Value::DownstreamRemoteAddress => address(conn.peer, out),
            Value::DownstreamRemoteAddressWithoutPort => show(conn.peer.ip(), out),
            Value::DownstreamLocalAddress => address(conn.destination, out),
            Value::DownstreamLocalAddressWithoutPort => show(conn.destination.ip(), out),
            Value::DownstreamPeerUriSan => {
                let uris = conn.tls.iter().flat_map(|tls| &tls.uri_sans);
                uris.enumerate().for_each(|(position, uri)| {
                    if position > 0 {
                        out.push(',');
                    }
                    put_text(uri.as_bytes(), out);
                });
            }
            Value::DownstreamTlsVersion => out.push_str(conn.tls.as_ref().map_or("", |tls| tls.version)),
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

fn put_of_request(record: &RequestRecord, head: &RequestHead, value: &Value, out: &mut String) {
    match value {
        Value::Protocol => out.push_str(record.version.as_str()),
        Value::ResponseCode => number(record.status.into(), out),
        Value::ResponseCodeDetails => put_text(record.details.as_bytes(), out),
        Value::ResponseFlags => flags(record.flags, out),
        Value::BytesReceived => number(record.received, out),
        Value::BytesSent => number(record.sent, out),
        Value::UpstreamCluster => out.push_str(record.cluster.as_deref().unwrap_or_default()),
        Value::UpstreamHost => upstream(record.endpoint.as_deref(), out),
        Value::UpstreamLocalAddress => record.upstream_local.into_iter().for_each(|local| address(local, out)),
        Value::UpstreamRequestAttemptCount => number(record.attempts.into(), out),
        Value::UpstreamTransportFailureReason => {
            put_text(record.upstream_failure.as_deref().unwrap_or_default().as_bytes(), out);
        }
        Value::RouteName => out.push_str(record.route.as_ref().map_or("", |route| &route.name)),
        Value::GrpcStatus => record.grpc_status.into_iter().for_each(|status| number(status.into(), out)),
        Value::Request(names) => put_first(names.iter().filter_map(|name| requested(head, name)), out),
        Value::Response(names) => {
            let Some(response) = &record.response else { return };
            put_first(names.iter().filter_map(|name| response.fields.get(name.as_bytes())), out);
        }
        _ => {}
    }
}

fn put_of_connection(record: &TcpRecord, value: &Value, out: &mut String) {
    match value {
        Value::ResponseCode => out.push('0'),
        Value::ResponseFlags => flags(record.flags, out),
        Value::BytesReceived => number(record.received, out),
        Value::BytesSent => number(record.sent, out),
        Value::UpstreamCluster => out.push_str(record.cluster.as_deref().unwrap_or_default()),
        Value::UpstreamHost => upstream(record.endpoint.as_deref(), out),
        Value::UpstreamTransportFailureReason => {
            put_text(record.failure.as_deref().unwrap_or_default().as_bytes(), out);
        }
        _ => {}
    }
}

fn put_first<'a>(mut values: impl Iterator<Item = &'a [u8]>, out: &mut String) {
    if let Some(value) = values.find(|value| !value.is_empty()) {
        put_text(value, out);
    }
}

/// The first value of a field, or a pseudo field.
fn requested<'a>(head: &'a RequestHead, name: &'a str) -> Option<&'a [u8]> {
    match name {
        ":authority" | "host" => Some(head.authority()),
        ":method" => Some(head.method()),
        ":path" => Some(head.path()),
        ":scheme" => Some(head.scheme()),
        _ => head.fields.get(name.as_bytes()),
    }
}

/// Bytes from elsewhere: nobody writes lines of their own into the log.
fn put_text(bytes: &[u8], out: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.iter().any(|byte| *byte < b' ' || *byte >= 0x7f) => out.push_str(text),
        _ => out.extend(String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control())),
    }
}

fn number(value: u64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(value));
}

fn show(value: impl Display, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

fn flags(flags: Flags, out: &mut String) {
    if flags.is_empty() { out.push('-') } else { show(flags, out) }
}

fn upstream(endpoint: Option<&Endpoint>, out: &mut String) {
    endpoint.into_iter().for_each(|endpoint| address(endpoint.address, out));
}

/// As its `Display`, which takes several times as long: a line has four of them.
fn address(address: SocketAddr, out: &mut String) {
    let SocketAddr::V4(v4) = address else { return show(address, out) };
    for (position, octet) in v4.ip().octets().into_iter().enumerate() {
        if position > 0 {
            out.push('.');
        }
        number(octet.into(), out);
    }
    out.push(':');
    number(v4.port().into(), out);
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Cuts what begins at `start` to so many characters.
fn cut(out: &mut String, start: usize, length: usize) {
    if let Some((end, _)) = out[start..].char_indices().nth(length) {
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
fn timestamp(time: SystemTime, out: &mut String) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    SECOND.with_borrow_mut(|(known, text)| {
        if *known != seconds || text.is_empty() {
            let time =
                jiff::Timestamp::new(i64::try_from(seconds).unwrap_or(i64::MAX), 0).unwrap_or(jiff::Timestamp::MAX);
            *text = time.to_string();
            text.truncate(text.len() - 1);
            *known = seconds;
        }
        out.push_str(text);
    });
    let millis = since.subsec_millis();
    let digits = [millis / 100, millis / 10 % 10, millis % 10].map(|digit| char::from(b'0' + digit as u8));
    out.push('.');
    out.extend(digits);
    out.push('Z');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Flag;
    use crate::model::ListenerKind;
    use mesh_http::ResponseHead;

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
        let mut out = String::new();
        Line::request(&conn(), &record, &head, Duration::from_millis(7)).render(format, &mut out);
        out
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
