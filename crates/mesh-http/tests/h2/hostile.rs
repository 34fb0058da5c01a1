//! What nobody should send, and floods.

use mesh_http::h2::{Code, Event, Fatal, Limits, PREFACE, ResetBy, Role};
use mesh_http::{BodyLength, ResponseHead};

use super::End;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A server that was greeted.
fn server() -> End {
    let mut server = End::new(Role::Server);
    server.read(&[PREFACE, &frame(4, 0, 0, &[])].concat()).unwrap();
    server.take();
    server
}

/// A field without compression.
fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

fn with(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&GET, more].concat())
}

fn get(stream: u32) -> Vec<u8> {
    frame(1, END_STREAM | END_HEADERS, stream, &with(&[]))
}

#[test]
fn malformed_requests_are_reset_and_others_go_on() {
    let table: [(&str, Vec<u8>); 16] = [
        ("capitals", with(&[("X-Team", "a")])),
        ("a connection field", with(&[("connection", "close")])),
        ("te", with(&[("te", "gzip")])),
        ("chunks", with(&[("transfer-encoding", "chunked")])),
        ("a line end in a value", with(&[("x", "a\r\nb: c")])),
        ("a space around a value", with(&[("x", " a")])),
        ("an empty name", with(&[("", "a")])),
        ("a pseudo-field after a field", block(&[("x", "y"), (":method", "GET"), (":scheme", "http"), (":path", "/")])),
        ("a pseudo-field twice", with(&[(":path", "/b")])),
        ("no path", block(&GET[..3])),
        ("an empty path", block(&[GET[0], GET[1], GET[2], (":path", "")])),
        ("a relative path", block(&[GET[0], GET[1], GET[2], (":path", "a")])),
        ("no method", block(&GET[1..])),
        ("a status", with(&[(":status", "200")])),
        ("another host", with(&[("host", "b")])),
        ("two lengths", with(&[("content-length", "1"), ("content-length", "2")])),
    ];
    for (what, block) in table {
        let mut server = server();
        let (events, _) = server.read(&frame(1, END_STREAM | END_HEADERS, 1, &block)).expect(what);
        assert_eq!(events, [], "{what}");
        assert_eq!(server.take(), frame(3, 0, 1, &[0, 0, 0, 1]), "{what}");
        assert!(matches!(server.read(&get(3)).unwrap().0[..], [Event::Request { stream: 3, .. }]), "{what}");
    }
}

#[test]
fn a_body_is_as_long_as_it_says() {
    let mut server = server();
    server.read(&frame(1, END_HEADERS, 1, &with(&[("content-length", "5")]))).unwrap();
    let (events, _) = server.read(&frame(0, END_STREAM, 1, b"four")).unwrap();
    let by = ResetBy::Us("less data than the content-length");
    assert_eq!(events, [Event::Reset { stream: 1, code: Code::Protocol, by }]);
    server.read(&frame(1, END_HEADERS, 3, &with(&[("content-length", "3")]))).unwrap();
    let (events, _) = server.read(&frame(0, 0, 3, b"four")).unwrap();
    assert!(matches!(events[..], [Event::Reset { stream: 3, .. }]), "nothing of it is passed on");
}

#[test]
fn broken_connections_are_told_why() {
    let table: [(&str, Vec<u8>, Code); 18] = [
        ("a frame too large", frame(0, 0, 1, &[0; 16_385]), Code::FrameSize),
        ("data without a stream", frame(0, 0, 0, b"x"), Code::Protocol),
        ("data on an idle stream", frame(0, 0, 1, b"x"), Code::Protocol),
        ("an even stream", get(2), Code::Protocol),
        ("half a ping", frame(6, 0, 0, &[0; 7]), Code::FrameSize),
        ("a ping of a stream", frame(6, 0, 1, &[0; 8]), Code::Protocol),
        ("half a setting", frame(4, 0, 0, &[0; 5]), Code::FrameSize),
        ("a full acknowledgement", frame(4, 1, 0, &[0; 6]), Code::FrameSize),
        ("push as a number", frame(4, 0, 0, &[0, 2, 0, 0, 0, 2]), Code::Protocol),
        ("a window too large", frame(4, 0, 0, &[0, 4, 0x80, 0, 0, 0]), Code::FlowControl),
        ("a frame size too small", frame(4, 0, 0, &[0, 5, 0, 0, 0, 1]), Code::Protocol),
        ("no credit", frame(8, 0, 0, &[0; 4]), Code::Protocol),
        ("too much credit", frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), Code::FlowControl),
        ("a reset of an idle stream", frame(3, 0, 1, &[0; 4]), Code::Protocol),
        ("a push", frame(5, 0, 1, &[0; 4]), Code::Protocol),
        ("a continuation of nothing", frame(9, 4, 1, &[]), Code::Protocol),
        ("no HPACK", frame(1, END_HEADERS, 1, &[0x80]), Code::Compression),
        ("an interrupted block", [frame(1, 0, 1, &[]), frame(6, 0, 0, &[0; 8])].concat(), Code::Protocol),
    ];
    for (what, bytes, code) in table {
        let mut server = server();
        assert_eq!(server.read(&bytes).expect_err(what).code, code, "{what}");
        assert_eq!(server.take()[3], 7, "{what}: a GOAWAY is sent");
    }
    assert_eq!(End::new(Role::Server).read(b"GET / HTTP/1.1\r\n").unwrap_err().code, Code::Protocol);
}

/// Sends the same until the connection is ended, but no more than so often.
fn flood(server: &mut End, most: u32, mut each: impl FnMut(u32) -> Vec<u8>) -> Result<(), Fatal> {
    (0..most).try_for_each(|n| {
        server.read(&each(n))?;
        server.take();
        Ok(())
    })
}

#[test]
fn floods_are_ended() {
    let odd = |n: u32| 2 * n + 1;
    type Each = fn(u32) -> Vec<u8>;
    let table: [(&str, Each); 8] = [
        ("pings", |_| frame(6, 0, 0, &[0; 8])),
        ("settings", |_| frame(4, 0, 0, &[])),
        ("priorities", |_| frame(2, 0, 9, &[0; 5])),
        ("unknown frames", |_| frame(77, 0, 0, &[])),
        ("credit", |_| frame(8, 0, 0, &[0, 0, 0, 1])),
        ("rapid resets", |n| [get(2 * n + 1), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()),
        ("requests that are to be reset", |n| [get(2 * n + 1), frame(8, 0, 2 * n + 1, &[0; 4])].concat()),
        ("malformed requests", |n| frame(1, END_STREAM | END_HEADERS, 2 * n + 1, &[0x82])),
    ];
    for (what, each) in table {
        let mut server = server();
        let ended = flood(&mut server, 2000, each).expect_err(what);
        assert_eq!(ended.code, Code::EnhanceYourCalm, "{what}");
    }
    let mut server = server();
    server.read(&frame(1, END_HEADERS, 1, &with(&[]))).unwrap();
    assert!(flood(&mut server, 2000, |_| frame(0, 0, 1, b"")).is_err(), "empty data");
    let mut server = self::server();
    server.read(&frame(1, 0, 1, &with(&[]))).unwrap();
    assert!(flood(&mut server, 2000, |_| frame(9, 0, 1, &[])).is_err(), "empty continuations");
    let mut server = self::server();
    server.read(&frame(1, 0, 1, &with(&[]))).unwrap();
    assert!(flood(&mut server, 20, |_| frame(9, 0, 1, &field("x", &"y".repeat(120)).repeat(100))).is_err(), "a block");
    let mut server = self::server();
    for n in 0..5000 {
        server.read(&[get(odd(n)), frame(6, 0, 0, &[0; 8])].concat()).expect("a ping with each request is no flood");
        server.conn.forget(odd(n), Code::Cancel, &mut Vec::new());
    }
}

/// What a client says while it is served is no flood, however much it is: credit and pings for a long download, and an end
/// to each of many calls whose answers had begun.
#[test]
fn being_served_is_no_flood() {
    let mut server = server();
    server.read(&get(1)).unwrap();
    server.conn.respond(
        1,
        &ResponseHead { status: 200, ..ResponseHead::default() },
        BodyLength::Stream,
        &mut Vec::new(),
    );
    for _ in 0..5000 {
        server.conn.data(1, &[0; 100], false, &mut Vec::new());
        let credits = [frame(8, 0, 0, &[0, 0, 0, 100]), frame(8, 0, 1, &[0, 0, 0, 100]), frame(6, 0, 0, &[0; 8])];
        server.read(&credits.concat()).expect("credit and pings for what was sent");
        server.take();
    }
    let mut server = self::server();
    for stream in (1..4000).step_by(2) {
        server.read(&get(stream)).unwrap();
        let head = ResponseHead { status: 200, ..ResponseHead::default() };
        server.conn.respond(stream, &head, BodyLength::Stream, &mut Vec::new());
        server.read(&frame(3, 0, stream, &[0, 0, 0, 8])).expect("a call is ended by its caller");
        server.conn.forget(stream, Code::Cancel, &mut Vec::new());
        server.take();
    }
}

#[test]
fn unread_bodies_fill_their_window_and_no_more() {
    let limits = Limits { stream_window: 30_000, connection_window: 70_000, ..Limits::default() };
    let mut server = End::with(Role::Server, limits);
    server.read(&[PREFACE, &frame(4, 0, 0, &[])].concat()).unwrap();
    for stream in [1, 3] {
        server.read(&frame(1, END_HEADERS, stream, &with(&[]))).unwrap();
    }
    let mut out = Vec::new();
    let mut unread = |bytes: Vec<u8>| {
        let (mut events, mut at) = (Vec::new(), 0);
        loop {
            let received = server.conn.receive(&bytes[at..], &mut out)?;
            if received.consumed == 0 && received.event.is_none() {
                return Ok::<_, Fatal>(events);
            }
            at += received.consumed;
            events.extend(received.event);
        }
    };
    assert_eq!(unread(frame(0, 0, 1, &[0; 16_000])).unwrap().len(), 1);
    let events = unread(frame(0, 0, 1, &[0; 16_000])).unwrap();
    assert!(matches!(events[..], [Event::Reset { stream: 1, code: Code::FlowControl, .. }]), "{events:?}");
}
