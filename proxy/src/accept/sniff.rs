//! What a connection's first bytes show: TLS with its server name and protocols, HTTP, or neither.

use std::io;

use rustls::server::{Accepted, Acceptor};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::model::{Inspect, Transport};

/// A ClientHello or a request line longer than this is not waited for.
const MOST: usize = 16 * 1024;
/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What was found.
#[derive(Default)]
pub(super) struct Sniffed {
    pub(super) transport: Option<Transport>,
    pub(super) server_name: Option<Box<str>>,
    pub(super) protocols: Vec<Box<str>>,
    /// The caller ended without a word.
    pub(super) silent: bool,
}

/// What bytes show so far.
enum Verdict {
    /// More bytes are needed.
    More,
    Tls(Box<Accepted>),
    Http(&'static str),
    Opaque,
}

/// Reads until it is clear what comes. What was read is in `early`, beside what was there already, also if this is not
/// waited for to its end.
///
/// # Errors
/// If the connection fails.
pub(super) async fn read(socket: &mut TcpStream, inspect: &Inspect, early: &mut Vec<u8>) -> io::Result<Sniffed> {
    let mut ended = false;
    loop {
        let verdict = look(early, inspect);
        if !matches!(verdict, Verdict::More) || ended || early.len() >= MOST {
            return Ok(Sniffed { silent: ended && early.is_empty(), ..Sniffed::new(verdict) });
        }
        ended = socket.read_buf(early).await? == 0;
    }
}

impl Sniffed {
    fn new(verdict: Verdict) -> Self {
        let raw = Self { transport: Some(Transport::Raw), ..Self::default() };
        match verdict {
            Verdict::Tls(accepted) => {
                let hello = accepted.client_hello();
                let text = |protocol: &[u8]| String::from_utf8_lossy(protocol).into();
                Self {
                    transport: Some(Transport::Tls),
                    server_name: hello.server_name().map(|name| name.to_ascii_lowercase().into()),
                    protocols: hello.alpn().into_iter().flatten().map(text).collect(),
                    silent: false,
                }
            }
            Verdict::Http(protocol) => Self { protocols: vec![protocol.into()], ..raw },
            Verdict::More | Verdict::Opaque => raw,
        }
    }
}

fn look(bytes: &[u8], inspect: &Inspect) -> Verdict {
    match bytes.first() {
        None => Verdict::More,
        // The content type of a handshake record.
        Some(0x16) if inspect.tls => client_hello(bytes),
        Some(_) if inspect.http => http(bytes),
        Some(_) => Verdict::Opaque,
    }
}

fn client_hello(bytes: &[u8]) -> Verdict {
    let mut acceptor = Acceptor::default();
    let mut unread = bytes;
    while !unread.is_empty() {
        if acceptor.read_tls(&mut unread).is_err() {
            return Verdict::Opaque;
        }
    }
    match acceptor.accept() {
        Ok(None) => Verdict::More,
        Err(_) => Verdict::Opaque,
        Ok(Some(accepted)) => Verdict::Tls(Box::new(accepted)),
    }
}

/// A request line, or HTTP/2's preface. Something that may still become one is waited for.
fn http(bytes: &[u8]) -> Verdict {
    let seen = bytes.len().min(PREFACE.len());
    if bytes[..seen] == PREFACE[..seen] {
        return if seen == PREFACE.len() { Verdict::Http("h2c") } else { Verdict::More };
    }
    let line = match memchr::memchr(b'\n', bytes) {
        Some(end) => &bytes[..end],
        None if may_be_request(bytes) => return Verdict::More,
        None => return Verdict::Opaque,
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.rsplit(|b| *b == b' ').next() {
        Some(b"HTTP/1.1") if may_be_request(line) => Verdict::Http("http/1.1"),
        Some(b"HTTP/1.0") if may_be_request(line) => Verdict::Http("http/1.0"),
        _ => Verdict::Opaque,
    }
}

/// Methods are short words of capital letters; after one comes visible text.
fn may_be_request(bytes: &[u8]) -> bool {
    let end = memchr::memchr(b' ', bytes);
    let method = &bytes[..end.unwrap_or(bytes.len())];
    let is_word = method.len() <= 20 && method.iter().all(|b| b.is_ascii_uppercase() || *b == b'-');
    is_word && !method.is_empty() && bytes.iter().all(|b| matches!(b, b' '..=b'~' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Inspect = Inspect { tls: true, http: true, proxy_protocol: false, timeout: None };

    fn seen(bytes: &[u8], inspect: &Inspect) -> &'static str {
        match look(bytes, inspect) {
            Verdict::More => "more",
            Verdict::Tls(_) => "tls",
            Verdict::Http(protocol) => protocol,
            Verdict::Opaque => "opaque",
        }
    }

    #[test]
    fn http_is_recognised() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], "http/1.1"),
            (b"GET / HTTP/1.0\n", "http/1.0"),
            (PREFACE, "h2c"),
            (b"PRI * HT", "more"),
            (b"GET /some", "more"),
            (b"EHLO mail\r\n", "opaque"),
            (b"\x00\x01\x02", "opaque"),
        ] {
            assert_eq!(seen(bytes, &ALL), expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(seen(b"GET / HTTP/1.1\r\n", &Inspect { http: false, ..ALL }), "opaque");
    }

    #[test]
    fn client_hellos_are_read_in_any_pieces() {
        let mut client = rustls::ClientConnection::new(
            rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth()
                .into(),
            "Shop.Example.com".try_into().unwrap(),
        )
        .unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        assert_eq!(seen(&hello[..hello.len() / 2], &ALL), "more");
        let sniffed = Sniffed::new(look(&hello, &ALL));
        assert_eq!((sniffed.server_name.as_deref(), sniffed.protocols.len()), (Some("shop.example.com"), 0));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600), tls in any::<bool>()) {
            let bytes = if tls { [&[0x16, 3, 1][..], &bytes].concat() } else { bytes };
            let _ = look(&bytes, &ALL);
        }
    }
}
