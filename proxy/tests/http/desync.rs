//! Messages whose end two readers could see in different places (request smuggling): refused, never passed on, and the
//! connection on which they came is ended.

use crate::world::{World, run};

const GOOD: &str = "GET /good HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// What stands behind each ambiguous message, to be taken for the next.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";

/// A request with some fields, and bytes behind its head.
fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{body}")
}

/// The next whom the origin sees asks for this: nobody was there before.
async fn only_the_good_one_comes(world: &World) {
    let mut client = world.connect().await;
    client.send(GOOD).await;
    let mut origin = world.accept().await;
    let head = origin.read_head().await;
    assert!(head.starts_with("GET /good "), "{head}");
    origin.send(OK).await;
    client.read_to("ok").await;
}

#[test]
fn ambiguous_requests_are_refused_and_nobody_behind_hears_of_them() {
    let length = |value: &str| (post(&format!("content-length:{value}"), "x"), 400);
    let coding = |value: &str| (post(&format!("transfer-encoding:{value}"), "0\r\n\r\n"), 400);
    let field = |line: &str| (post(line, ""), 400);
    let whole = |text: &str| (text.to_owned(), 400);
    let table = [
        (post("content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n"), 400),
        (post("transfer-encoding: chunked\r\ncontent-length: 5", "0\r\n\r\n"), 400),
        (post("content-length: 1\r\ncontent-length: 2", "x"), 400),
        (post("content-length: 1\r\nContent-Length : 2", "x"), 400),
        length(" +1"),
        length(" -1"),
        length(" 0x1"),
        length(" 1 1"),
        length(" 1,1"),
        length(" 1, 2"),
        length(" 1;a"),
        length(" 1."),
        length(" \u{661}"),
        length(" \u{b}1"),
        length(""),
        length(" 18446744073709551617"),
        coding(" identity"),
        coding(" xchunked"),
        coding(" chunkedx"),
        coding(" \"chunked\""),
        coding(" chunked, identity"),
        coding(" chunked, chunked"),
        coding(" chunked;a=b"),
        coding(" chunked,"),
        coding(" \u{b}chunked"),
        coding(" chunked\u{b}"),
        coding(""),
        coding("\r\n chunked"),
        coding(" chunked\r\ntransfer-encoding: chunked"),
        coding(" chunked\r\ntransfer-encoding: identity"),
        coding(" identity\r\ntransfer-encoding: chunked"),
        (post("transfer-encoding: gzip, chunked", "0\r\n\r\n"), 501),
        field("transfer-encoding : chunked"),
        field("transfer-encoding\t: chunked"),
        field(" transfer-encoding: chunked"),
        field("transfer-encoding\u{0}: chunked"),
        field("x: y\r\n\ttransfer-encoding: chunked"),
        field("x: y\ntransfer-encoding: chunked"),
        field("x: y\rtransfer-encoding: chunked"),
        field("x: y\r\r\ntransfer-encoding: chunked"),
        field("x: a\u{0}b"),
        field("x: a\u{7f}b"),
        field("x"),
        field(": y"),
        field("x y: z"),
        field("x\u{e9}: y"),
        field("host: b"),
        whole("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        whole("GET / HTTP/1.1\nhost: a\n\n"),
        whole("GET / HTTP/1.1\r\nhost: a\n\r\n"),
        whole("GET / HTTP/1.1\r\nhost: a\r\n\n"),
        whole("\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        whole("\rGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        whole("GET / HTTP/1.1\rhost: a\r\n\r\n"),
        whole("GET / HTTP/1.1\r\n host: a\r\n\r\n"),
        whole("GET /\u{0} HTTP/1.1\r\nhost: a\r\n\r\n"),
        whole("GET /\thidden HTTP/1.1\r\nhost: a\r\n\r\n"),
        whole("GET / HTTP/1.1\r\n\r\n"),
        whole("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"),
        whole("GET / HTTP/1.1 \r\nhost: a\r\n\r\n"),
        whole("G\u{0}T / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("GET /a b HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 505),
    ];
    run(
        |_| (),
        |world| async move {
            for (bad, status) in table {
                let mut client = world.connect().await;
                client.send(&(bad.clone() + HIDDEN)).await;
                let answer = client.read_all().await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bad:?}: {answer}");
                assert!(answer.contains("connection: close"), "{bad:?}: {answer}");
                assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{bad:?}: {answer}");
            }
            only_the_good_one_comes(&world).await;
        },
    );
}

/// Chunks, up to where they cannot be read on, and trailers.
const BROKEN_CHUNKS: [&str; 24] = [
    "+2\r\nab\r\n0\r\n\r\n",
    "-2\r\nab\r\n0\r\n\r\n",
    "0x2\r\nab\r\n0\r\n\r\n",
    " 2\r\nab\r\n0\r\n\r\n",
    "2 \r\nab\r\n0\r\n\r\n",
    "\r\n2\r\nab\r\n0\r\n\r\n",
    "2\nab\r\n0\r\n\r\n",
    "2\rab\r\n0\r\n\r\n",
    "2\r\nab0\r\n\r\n",
    "2\r\nabc\r\n0\r\n\r\n",
    "2\r\nab\n0\r\n\r\n",
    "10000000000000002\r\nab\r\n0\r\n\r\n",
    "00000000000000002\r\nab\r\n0\r\n\r\n",
    "2;a\nb\r\nab\r\n0\r\n\r\n",
    "2;a\rb\r\nab\r\n0\r\n\r\n",
    "2;\u{0}\r\nab\r\n0\r\n\r\n",
    "2,a\r\nab\r\n0\r\n\r\n",
    "0\r\n\n",
    "0\r\nx : y\r\n\r\n",
    "0\r\nx: y\n\r\n",
    "0\r\nx: y\r\n z\r\n\r\n",
    "0\r\ncontent-length: 5\r\n\r\n",
    "0\r\ntransfer-encoding: chunked\r\n\r\n",
    "0\r\nhost: b\r\n\r\n",
];

/// The end of a body in chunks.
const LAST: &str = "0\r\n\r\n";

#[test]
fn a_request_that_breaks_off_in_its_body_is_never_whole_to_anybody() {
    run(
        |_| (),
        |world| async move {
            for bad in BROKEN_CHUNKS {
                let mut client = world.connect().await;
                client.send(&post("transfer-encoding: chunked", &format!("2\r\nab\r\n{bad}{HIDDEN}"))).await;
                let asked = async { world.accept().await.read_all().await };
                let (answer, asked) = tokio::join!(client.read_all(), asked);
                assert!(
                    answer.starts_with("HTTP/1.1 400 ") && answer.contains("connection: close"),
                    "{bad:?}: {answer}"
                );
                assert!(!asked.ends_with(LAST) && !asked.contains("hidden"), "{bad:?}: {asked}");
                assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{bad:?}: {answer}");
            }
            only_the_good_one_comes(&world).await;
        },
    );
}

#[test]
fn ambiguous_answers_are_refused_and_their_connection_is_not_used_again() {
    let table = [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding:\r\n chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\ncontent-length: 2\n\n",
        "HTTP/1.1 200 OK\r\nx: a\u{0}b\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\rcontent-length: 5\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 99 OK\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\n",
        "HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\n",
        "ICY 200 OK\r\ncontent-length: 2\r\n\r\n",
        // Nobody asked for another protocol.
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ];
    run(
        |_| (),
        |world| async move {
            for bad in table {
                let mut client = world.connect().await;
                client.send(GOOD).await;
                let mut origin = world.accept().await;
                origin.read_head().await;
                origin.send(&format!("{bad}{OK}")).await;
                let answer = client.read_head().await;
                assert!(
                    answer.starts_with("HTTP/1.1 502 ") || answer.starts_with("HTTP/1.1 503 "),
                    "{bad:?}: {answer}"
                );
                assert_eq!(origin.read_all().await, "", "{bad:?}: nothing more is asked there");
            }
            only_the_good_one_comes(&world).await;
        },
    );
}

/// Whoever reads an answer that breaks off sees that it did.
#[test]
fn an_answer_that_breaks_off_in_its_body_is_never_whole_to_anybody() {
    run(
        |_| (),
        |world| async move {
            for bad in BROKEN_CHUNKS {
                let mut client = world.connect().await;
                client.send(GOOD).await;
                let mut origin = world.accept().await;
                origin.read_head().await;
                origin
                    .send(&format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n{bad}{OK}"))
                    .await;
                let answer = client.read_all().await;
                assert!(!answer.ends_with(LAST) && !answer.ends_with("ok"), "{bad:?}: {answer}");
                assert_eq!(origin.read_all().await, "", "{bad:?}: nothing more is asked there");
            }
            only_the_good_one_comes(&world).await;
        },
    );
}

/// What stands behind an answer is nobody's answer.
#[test]
fn an_answer_that_nobody_asked_for_is_given_to_nobody() {
    run(
        |_| (),
        |world| async move {
            for framed in [
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                "HTTP/1.1 204 No Content\r\n\r\n",
                "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
            ] {
                let mut client = world.connect().await;
                client.send(GOOD).await;
                let mut origin = world.accept().await;
                origin.read_head().await;
                origin.send(&format!("{framed}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhidden")).await;
                client.read_head().await;
                assert_eq!(origin.read_all().await, "", "{framed:?}: nothing more is asked there");
                client.send(GOOD).await;
                let mut fresh = world.accept().await;
                fresh.read_head().await;
                fresh.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nfresh").await;
                let answer = client.read_to("fresh").await;
                assert!(!answer.contains("hidden"), "{framed:?}: {answer}");
            }
        },
    );
}
