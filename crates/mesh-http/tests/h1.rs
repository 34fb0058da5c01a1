//! HTTP/1 as tables: what is read, what is refused and why, what is written.
#![expect(clippy::expect_used, clippy::panic, reason = "a helper of a test fails the test")]

use mesh_http::h1::{self, BodyReader, Limits, Refused, ResponseTo};
use mesh_http::{BodyLength, Fields, RequestHead, ResponseHead, Version};

fn request(text: &str) -> Result<Option<(usize, RequestHead)>, Refused> {
    let mut head = RequestHead::default();
    Ok(h1::parse_request(text.as_bytes(), &Limits::default(), &mut head)?.map(|n| (n, head)))
}

fn accepted(text: &str) -> RequestHead {
    let (taken, head) = request(text).unwrap_or_else(|e| panic!("{text:?}: {e}")).expect(text);
    assert_eq!(taken, text.len());
    head
}

fn response(text: &str, to: ResponseTo) -> Result<Option<(usize, ResponseHead)>, Refused> {
    let mut head = ResponseHead::default();
    Ok(h1::parse_response(text.as_bytes(), &Limits::default(), to, &mut head)?.map(|n| (n, head)))
}

fn text(fields: &Fields) -> String {
    fields.iter().map(|(_, n, v)| format!("{}={};", n.escape_ascii(), v.escape_ascii())).collect()
}

const HEAD: ResponseTo = ResponseTo { head: true, connect: false, version: Version::Http11 };
const CONNECT: ResponseTo = ResponseTo { head: false, connect: true, version: Version::Http11 };
const OLD: ResponseTo = ResponseTo { head: false, connect: false, version: Version::Http10 };

#[test]
fn targets_have_four_forms() {
    let table = [
        ("GET /a?b=c HTTP/1.1\r\nHost: x:80\r\n\r\n", ["GET", "", "x:80", "/a?b=c"]),
        ("GET http://y/p?q HTTP/1.1\r\nHost: x\r\n\r\n", ["GET", "http", "y", "/p?q"]),
        ("GET HTTPS://y:1 HTTP/1.1\r\nHost: x\r\n\r\n", ["GET", "https", "y:1", "/"]),
        ("GET http://y?q HTTP/1.1\r\nHost: x\r\n\r\n", ["GET", "http", "y", "/?q"]),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", ["OPTIONS", "", "x", "*"]),
        ("CONNECT a.b:443 HTTP/1.1\r\nHost: x\r\n\r\n", ["CONNECT", "", "a.b:443", ""]),
        ("CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n", ["CONNECT", "", "[::1]:443", ""]),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", ["GET", "", "", "/"]),
        ("GET / HTTP/1.0\r\n\r\n", ["GET", "", "", "/"]),
        ("\r\n\r\nGET / HTTP/1.0\r\n\r\n", ["GET", "", "", "/"]),
        ("M-SEARCH /{a}|\"b\" HTTP/1.1\r\nhost: a_b\r\n\r\n", ["M-SEARCH", "", "a_b", "/{a}|\"b\""]),
    ];
    for (input, want) in table {
        let head = accepted(input);
        let got = [head.method(), head.scheme(), head.authority(), head.path()];
        assert_eq!(got, want.map(str::as_bytes), "{input:?}");
        assert_eq!(head.fields.get(b"host"), None);
    }
}

#[test]
fn what_is_ambiguous_or_malformed_is_refused() {
    let codec = (400, "http1.codec_error");
    let characters = (400, "http1.invalid_characters");
    let url = (400, "http1.invalid_url");
    let host = (400, "http1.invalid_host");
    let length = (400, "http1.content_length_not_allowed");
    let coding = (501, "http1.invalid_transfer_encoding");
    let endless = (400, "http1.invalid_transfer_encoding");
    let both = (400, "http1.content_length_and_chunked_not_allowed");
    let table = [
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", both),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", both),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", length),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", length),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", length),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", length),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", length),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n", length),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", coding),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", endless),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", endless),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", endless),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", (400, "http1.transfer_encoding_not_allowed")),
        ("GET / HTTP/1.1\nHost: x\r\n\r\n", codec),
        ("GET / HTTP/1.1\r\nHost: x\n\r\n", codec),
        ("GET / HTTP/1.1\r\nHost: x\r\n\n", codec),
        ("\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", codec),
        ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", codec),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", characters),
        ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", characters),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", characters),
        ("GET / HTTP/1.1\r\nHost: x\r\nA(: b\r\n\r\n", characters),
        ("GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", characters),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", characters),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", characters),
        ("GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n", characters),
        ("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", characters),
        ("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", (505, "http1.invalid_version")),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", codec),
        ("GET a HTTP/1.1\r\nHost: x\r\n\r\n", url),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", url),
        ("GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", url),
        ("GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n", url),
        ("GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", url),
        ("CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n", url),
        ("CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n", url),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", length),
        ("GET / HTTP/1.1\r\n\r\n", host),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", host),
        ("GET / HTTP/1.1\r\nHost: x y\r\n\r\n", host),
        ("GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", host),
        ("GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", host),
        ("GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", host),
        ("GET / HTTP/1.2\r\nHost: x\r\n\r\n", (505, "http1.invalid_version")),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", (505, "http1.invalid_version")),
        ("GET / http/1.1\r\nHost: x\r\n\r\n", (505, "http1.invalid_version")),
    ];
    for (input, (status, reason)) in table {
        let got = request(input).map(|head| head.is_some());
        assert_eq!(got, Err(Refused { status, reason }), "{input:?}");
    }
}

#[test]
fn heads_are_bounded() {
    let limits = Limits { max_head: 64, max_fields: 2 };
    let parse = |text: &str| h1::parse_request(text.as_bytes(), &limits, &mut RequestHead::default());
    let large = Err(Refused { status: 431, reason: "http1.headers_too_large" });
    let long = "a".repeat(64);
    assert_eq!(parse(&format!("GET /{long}")), large);
    assert_eq!(parse(&format!("GET / HTTP/1.1\r\nHost: x\r\na: {long}\r\n\r\n")), large);
    let many = Err(Refused { status: 431, reason: "http1.too_many_headers" });
    assert_eq!(parse("GET / HTTP/1.1\r\nHost: x\r\na: b\r\nc: d\r\n\r\n"), many);
    assert_eq!(parse("GET / HTTP/1.1\r\nHost: x\r\na: b\r\n\r\n"), Ok(Some(33)));
    let options = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: {}\r\n\r\n", "a,".repeat(33));
    assert_eq!(request(&options).unwrap_err().reason, "http1.connection_header_rejected");
}

#[test]
fn request_fields_decide_body_and_connection() {
    use BodyLength::{Empty, Exact, Stream};
    // Fields; body, keep_alive, expect_continue, upgrade.
    let table = [
        ("1", "", (Empty, true, false, false)),
        ("0", "", (Empty, false, false, false)),
        ("0", "Connection: Keep-Alive\r\n", (Empty, true, false, false)),
        ("1", "Connection: close\r\n", (Empty, false, false, false)),
        ("1", "Connection: keep-alive, Close\r\n", (Empty, false, false, false)),
        ("1", "Content-Length: 0\r\n", (Exact(0), true, false, false)),
        ("1", "Content-Length: 7\r\nContent-Length: 7\r\n", (Exact(7), true, false, false)),
        ("1", "Transfer-Encoding: Chunked\r\n", (Stream, true, false, false)),
        ("1", "Content-Length: 7\r\nExpect: 100-Continue\r\n", (Exact(7), true, true, false)),
        ("0", "Content-Length: 7\r\nExpect: 100-continue\r\n", (Exact(7), false, false, false)),
        ("1", "Expect: 100-continue\r\n", (Empty, true, false, false)),
        ("1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", (Empty, true, false, true)),
        ("1", "Upgrade: websocket\r\n", (Empty, true, false, false)),
        ("1", "Connection: Upgrade\r\n", (Empty, true, false, false)),
        (
            "1",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n",
            (Empty, true, false, false),
        ),
    ];
    for (minor, fields, want) in table {
        let head = accepted(&format!("POST / HTTP/1.{minor}\r\nHost: x\r\n{fields}\r\n"));
        assert_eq!((head.body, head.keep_alive, head.expect_continue, head.upgrade), want, "{fields:?}");
    }
}

#[test]
fn nominated_fields_are_gone_before_anybody_sees_them() {
    let head = accepted(
        "GET / HTTP/1.1\r\nHost: x\r\nX-Hop: 1\r\nConnection: x-hop, close, host, x-Two\r\nX-TWO: 2\r\nX-Three: 3\r\n\r\n",
    );
    assert_eq!(text(&head.fields), "Connection=x-hop, close, host, x-Two;X-Three=3;");
    assert_eq!(head.authority(), b"x");
}

#[test]
fn responses_are_framed_by_status_and_method() {
    use BodyLength::{Empty, Exact, Stream, UntilClose};
    let get = ResponseTo::default();
    let table = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", get, (200, Exact(3), true)),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", get, (200, Exact(0), true)),
        ("HTTP/1.1 200 OK\r\n\r\n", get, (200, UntilClose, false)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", get, (200, Stream, true)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD, (200, Empty, true)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HEAD, (200, Empty, true)),
        ("HTTP/1.1 200 OK\r\n\r\n", CONNECT, (200, Empty, true)),
        ("HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\n", CONNECT, (403, Exact(3), true)),
        ("HTTP/1.1 100 Continue\r\n\r\n", get, (100, Empty, true)),
        ("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", get, (101, Empty, true)),
        ("HTTP/1.1 204 No Content\r\n\r\n", get, (204, Empty, true)),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", get, (304, Empty, true)),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", get, (200, Exact(3), false)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", get, (200, Exact(3), false)),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n", get, (200, Exact(3), true)),
    ];
    for (input, to, want) in table {
        let (taken, head) = response(input, to).expect(input).expect(input);
        assert_eq!(taken, input.len());
        assert_eq!((head.status, head.body, head.keep_alive), want, "{input:?}");
    }
    for bad in [
        "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/1.1 2000 x\r\n\r\n",
        "HTTP/3.0 200 x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: 3\r\n 4\r\n\r\n",
    ] {
        assert_eq!(response(bad, get).map(|h| h.is_some()).map_err(|e| e.status), Err(502), "{bad:?}");
    }
}

/// Feeds a body whole and then byte by byte, and returns what both ways agree on.
fn body(length: BodyLength, input: &[u8]) -> Result<(Vec<u8>, usize, bool, String), Refused> {
    let whole = read(length, input, input.len().max(1));
    assert_eq!(whole, read(length, input, 1), "{:?}", input.escape_ascii().to_string());
    whole
}

fn read(length: BodyLength, input: &[u8], piece: usize) -> Result<(Vec<u8>, usize, bool, String), Refused> {
    let (mut reader, mut data, mut at) = (BodyReader::new(length), Vec::new(), 0);
    loop {
        let rest = &input[at..input.len().min(at + piece)];
        let step = reader.read(rest)?;
        data.extend_from_slice(&rest[step.data.clone()]);
        at += step.consumed;
        assert_eq!(step.end, reader.is_done());
        if step.end || at == input.len() && step.consumed == 0 {
            return Ok((data, at, step.end, text(reader.trailers())));
        }
    }
}

#[test]
fn bodies() {
    use BodyLength::{Empty, Exact, Stream, UntilClose};
    let table = [
        (Empty, "next", ("", 0, true, "")),
        (Exact(0), "next", ("", 0, true, "")),
        (Exact(3), "abcnext", ("abc", 3, true, "")),
        (Exact(9), "abc", ("abc", 3, false, "")),
        (UntilClose, "abc", ("abc", 3, false, "")),
        (Stream, "0\r\n\r\nnext", ("", 5, true, "")),
        (Stream, "3\r\nabc\r\n0\r\n\r\nnext", ("abc", 13, true, "")),
        (Stream, "3\r\nabc\r\n00A\r\n0123456789\r\n000\r\n\r\n", ("abc0123456789", 32, true, "")),
        (Stream, "3;a=\"b;c\" ;d\r\nabc\r\n0;x\r\n\r\n", ("abc", 26, true, "")),
        (Stream, "3 ;a\r\nabc\r\n0\r\n\r\n", ("abc", 16, true, "")),
        (Stream, "0\r\nGrpc-Status: 0\r\nx:\r\n\r\n!", ("", 25, true, "Grpc-Status=0;x=;")),
        (Stream, "3\r\nab", ("ab", 5, false, "")),
    ];
    for (length, input, (data, taken, end, trailers)) in table {
        let got = body(length, input.as_bytes()).expect(input);
        assert_eq!(got, (data.into(), taken, end, trailers.into()), "{input:?}");
    }
    for bad in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "0x1\r\n",
        ";a\r\n",
        " 1\r\n",
        "1 \r\n",
        "1 2\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r0\r\n\r\n",
        "00000000000000003\r\n",
        "1;a\nb\r\n",
        "1;a\0\r\n",
        "0\r\n\n",
        "0\r\na\r\n",
        "0\r\na : b\r\n",
        "0\r\n a: b\r\n",
        "0\r\na: b\n\r\n",
        "0\r\na: \0\r\n",
        "0\r\ncontent-length: 1\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n",
        "0\r\nHost: a\r\n",
    ] {
        assert!(body(Stream, bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn chunk_overhead_and_trailers_are_bounded() {
    let extensions = "1;aaaaaaaaaaaaaaaa\r\nx\r\n".repeat(2000);
    assert!(read(BodyLength::Stream, extensions.as_bytes(), 4096).is_err());
    let long = format!("0\r\na: {}", "b".repeat(20_000));
    assert_eq!(read(BodyLength::Stream, long.as_bytes(), 4096).unwrap_err().status, 431);
    let many = format!("0\r\n{}", "a: b\r\n".repeat(101));
    assert_eq!(read(BodyLength::Stream, many.as_bytes(), 4096).unwrap_err().status, 431);
}

#[test]
fn requests_are_written_as_they_came_but_for_the_hop() {
    let input = "POST /a?b HTTP/1.1\r\nHOST: x\r\nUser-AGENT: u\r\nConnection: keep-alive, x\r\nx: 1\r\nKeep-Alive: 1\r\n\
        Proxy-Connection: a\r\nTE: gzip, trailers\r\nUpgrade: websocket\r\nContent-LENGTH: 3\r\nB: \u{e9}\r\n\r\n";
    let head = accepted(input);
    let written = |framing| {
        let mut out = Vec::new();
        h1::write_request(&head, framing, &mut out);
        String::from_utf8(out).unwrap()
    };
    let start = "POST /a?b HTTP/1.1\r\nHOST: x\r\nUser-AGENT: u\r\nTE: trailers\r\n";
    assert_eq!(written(head.body), format!("{start}Content-LENGTH: 3\r\nB: \u{e9}\r\n\r\n"));
    assert_eq!(written(BodyLength::Exact(10)), format!("{start}Content-LENGTH: 10\r\nB: \u{e9}\r\n\r\n"));
    assert_eq!(written(BodyLength::Empty), format!("{start}Content-LENGTH: 0\r\nB: \u{e9}\r\n\r\n"));
    assert_eq!(written(BodyLength::Stream), format!("{start}B: \u{e9}\r\ntransfer-encoding: chunked\r\n\r\n"));

    let mut out = Vec::new();
    let head = accepted("GET /w HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    h1::write_request(&head, head.body, &mut out);
    assert_eq!(out, b"GET /w HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");

    let mut out = Vec::new();
    let head = accepted("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    h1::write_request(&head, head.body, &mut out);
    assert_eq!(out, b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
}

#[test]
fn responses_are_written_for_their_request() {
    use BodyLength::{Empty, Exact, Stream, UntilClose};
    let get = ResponseTo::default();
    let old = OLD;
    let plain = "";
    let sized = "Content-Length: 5\r\n";
    // Status, fields, request, framing, keep alive; the head after the start line.
    let table = [
        (200, sized, get, Exact(5), true, "Content-Length: 5\r\n"),
        (200, plain, get, Exact(5), false, "content-length: 5\r\nconnection: close\r\n"),
        (200, plain, get, Empty, true, "content-length: 0\r\n"),
        (200, sized, get, Stream, true, "transfer-encoding: chunked\r\n"),
        (200, plain, get, UntilClose, true, "connection: close\r\n"),
        (200, sized, HEAD, Exact(5), true, "Content-Length: 5\r\n"),
        (200, plain, HEAD, Stream, true, ""),
        (304, sized, get, Empty, true, "Content-Length: 5\r\n"),
        (204, sized, get, Exact(5), true, ""),
        (103, plain, get, Empty, true, ""),
        (200, plain, CONNECT, Stream, true, ""),
        (200, sized, old, Exact(5), true, "Content-Length: 5\r\nconnection: keep-alive\r\n"),
        (200, plain, old, Stream, true, "connection: close\r\n"),
        (200, "Connection: x\r\nx: 1\r\n", get, Empty, false, "Connection: close\r\ncontent-length: 0\r\n"),
        (101, "Upgrade: a\r\nConnection: Upgrade\r\n", get, Empty, true, "Upgrade: a\r\nConnection: upgrade\r\n"),
    ];
    for (status, fields, to, framing, keep, want) in table {
        let (_, head) = response(&format!("HTTP/1.1 {status} x\r\n{fields}\r\n"), to).unwrap().unwrap();
        let mut out = Vec::new();
        h1::write_response(&head, to, framing, keep, &mut out);
        let out = String::from_utf8(out).unwrap();
        let (line, rest) = out.split_once("\r\n").unwrap();
        assert_eq!(rest, format!("{want}\r\n"), "{status} {fields} {to:?} {framing:?}");
        assert!(line.starts_with(if to == old { "HTTP/1.0 " } else { "HTTP/1.1 " }), "{line}");
    }
}

#[test]
fn no_value_can_end_a_line() {
    let mut head = RequestHead::default();
    head.set_method(b"GET");
    head.set_path(b"/a\r\nb");
    head.set_authority(b"x\0");
    head.fields.append(b"a", b"1\r\nevil: 2");
    let mut out = Vec::new();
    h1::write_request(&head, BodyLength::Empty, &mut out);
    assert_eq!(out, b"GET /a  b HTTP/1.1\r\nhost: x \r\na: 1  evil: 2\r\n\r\n");
    let mut out = Vec::new();
    h1::write_last_chunk(&head.fields, &mut out);
    assert_eq!(out, b"0\r\na: 1  evil: 2\r\n\r\n");
}

#[test]
fn chunks() {
    let mut out = Vec::new();
    h1::write_chunk(b"", &mut out);
    h1::write_chunk(&[b'x'; 26], &mut out);
    h1::write_chunk_head(0x1f0, &mut out);
    assert_eq!(out, [&b"1a\r\n"[..], &[b'x'; 26], b"\r\n1f0\r\n"].concat());
}
