//! HTTP/2 requests that would be other requests, or two, once they were written as HTTP/1: reset, never passed on.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::frames::*;
use crate::world::{Peer, World, run};

const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];

/// A connection on which HTTP/2 was begun.
async fn begin(world: &World) -> Peer {
    let mut peer = world.connect().await;
    peer.0.write_all(HELLO).await.unwrap();
    peer
}

/// Reads until there is a frame of this kind on a stream.
async fn frame_of(peer: &mut Peer, kind: u8, stream: u32) -> Frame {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(peer.0.read_buf(&mut bytes).await.unwrap(), 0, "the connection was closed");
        if let Some(found) = Frame::some(&bytes).0.into_iter().find(|one| (one.kind, one.stream) == (kind, stream)) {
            return found;
        }
    }
}

/// The origin's first word of anybody is this request.
async fn only_the_good_one_comes(world: &World, peer: &mut Peer) {
    peer.0.write_all(&get(3, "/good")).await.unwrap();
    let mut origin = world.accept().await;
    let head = origin.read_head().await;
    assert!(head.starts_with("GET /good HTTP/1.1\r\n"), "{head}");
    origin.send("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    frame_of(peer, HEADERS, 3).await;
}

#[test]
fn what_would_be_another_request_in_http1_is_reset() {
    let more = |name: &str, value: &str| request("GET", "/", &[(name, value)]);
    let pseudo = |method: &str, scheme: &str, authority: &str, path: &str| {
        block(&[(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)])
    };
    let end = " HTTP/1.1\r\nhost: a\r\n\r\nGET /hidden";
    let table = [
        ("a line's end in a value", more("x", "y\r\nz: 1")),
        ("a line feed in a value", more("x", "y\nz: 1")),
        ("a carriage return in a value", more("x", "y\rz: 1")),
        ("NUL in a value", more("x", "y\0z")),
        ("a line's end in a name", more("x: y\r\nz", "1")),
        ("a colon in a name", more("x:y", "1")),
        ("a space in a name", more("x y", "1")),
        ("NUL in a name", more("x\0", "1")),
        ("a capital in a name", more("X", "1")),
        ("a method that ends the line", pseudo(&format!("GET /{end}"), "http", "a", "/")),
        ("a method with a space", pseudo("GET /hidden", "http", "a", "/")),
        ("an empty method", pseudo("", "http", "a", "/")),
        ("a path that ends the line", pseudo("GET", "http", "a", &format!("/{end}"))),
        ("a path with a space", pseudo("GET", "http", "a", "/ HTTP/1.1")),
        ("a path with NUL", pseudo("GET", "http", "a", "/\0")),
        ("an empty path", pseudo("GET", "http", "a", "")),
        ("a path that is none", pseudo("GET", "http", "a", "http://b/")),
        ("an authority that ends the line", pseudo("GET", "http", "a\r\nx: y", "/")),
        ("an authority with a space", pseudo("GET", "http", "a b", "/")),
        ("an authority with a user", pseudo("GET", "http", "b@a", "/")),
        ("an authority with a path", pseudo("GET", "http", "a/b", "/")),
        ("a scheme that ends the line", pseudo("GET", "http\r\nx: y", "a", "/")),
        ("a scheme with a path", pseudo("GET", "http://a/hidden?", "a", "/")),
        ("another host", more("host", "b")),
        ("chunks", more("transfer-encoding", "chunked")),
        ("a connection", more("connection", "x-own")),
        ("a connection that is kept", more("keep-alive", "1")),
        ("a proxy's connection", more("proxy-connection", "close")),
        ("an upgrade", more("upgrade", "websocket")),
        ("te", more("te", "trailers, chunked")),
        ("two lengths", request("GET", "/", &[("content-length", "0"), ("content-length", "5")])),
        ("a list of lengths", more("content-length", "0, 0")),
        ("a signed length", more("content-length", "+0")),
        ("a length without a body", more("content-length", "5")),
    ];
    for (what, block) in table {
        run(
            |_| (),
            |world| async move {
                let mut peer = begin(&world).await;
                peer.0.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await.unwrap();
                assert_eq!(frame_of(&mut peer, RESET, 1).await.payload, PROTOCOL_ERROR, "{what}");
                only_the_good_one_comes(&world, &mut peer).await;
            },
        );
    }
}

/// A body of another length than was said would be the next request's beginning, or its end.
#[test]
fn a_body_of_another_length_is_never_whole_to_anybody() {
    let declared = request("POST", "/", &[("content-length", "5")]);
    let table = [
        ("less", frame(DATA, END_STREAM, 1, b"four"), "four"),
        ("more", frame(DATA, 0, 1, b"GET /hidden"), "GET /hidden"),
        ("more, at the end", frame(DATA, END_STREAM, 1, b"GET /hidden"), "GET /hidden"),
        (
            "trailers too early",
            [frame(DATA, 0, 1, b"four"), frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&[("x", "y")]))].concat(),
            "four",
        ),
    ];
    for (what, body, bytes) in table {
        let head = frame(HEADERS, END_HEADERS, 1, &declared);
        run(
            |_| (),
            |world| async move {
                let mut peer = begin(&world).await;
                peer.0.write_all(&head).await.unwrap();
                let mut origin = world.accept().await;
                let head = origin.read_head().await;
                assert!(head.contains("content-length: 5\r\n"), "{head}");
                peer.0.write_all(&body).await.unwrap();
                assert_eq!(frame_of(&mut peer, RESET, 1).await.payload, PROTOCOL_ERROR, "{what}");
                let rest = origin.read_all().await;
                assert!(bytes.starts_with(&rest) && rest.len() < 5, "{what}: {rest}");
                only_the_good_one_comes(&world, &mut peer).await;
            },
        );
    }
}

/// What HTTP/1 has no place for does not come out as something else there.
#[test]
fn trailers_are_fields_and_nothing_else() {
    for (what, trailers) in [
        ("a pseudo-field", block(&[(":path", "/hidden")])),
        ("a line's end", block(&[("x", "y\r\n\r\nGET /hidden HTTP/1.1")])),
        ("chunks", block(&[("transfer-encoding", "chunked")])),
    ] {
        run(
            |_| (),
            |world| async move {
                let mut peer = begin(&world).await;
                peer.0.write_all(&frame(HEADERS, END_HEADERS, 1, &request("POST", "/", &[]))).await.unwrap();
                let mut origin = world.accept().await;
                origin.read_head().await;
                peer.0.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &trailers)).await.unwrap();
                assert_eq!(frame_of(&mut peer, RESET, 1).await.payload, PROTOCOL_ERROR, "{what}");
                assert_eq!(origin.read_all().await, "", "{what}: no last chunk");
                only_the_good_one_comes(&world, &mut peer).await;
            },
        );
    }
}
