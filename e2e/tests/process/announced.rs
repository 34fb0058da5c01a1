//! The PROXY protocol: who calls, by what stands before the gateway, and told to what stands behind it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::control::{Control, within};
use super::proxy::Process;
use super::{edge, resources};

/// A mesh before whose gateways something tells who calls.
const BEFORE: &str = "
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'defaultConfig: {gatewayTopology: {proxyProtocol: {}}}'}
";

/// A rule by which the origin is told.
fn behind(version: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: origin}}
spec: {{host: origin.example.com, trafficPolicy: {{proxyProtocol: {{version: {version}}}}}}}
"
    )
}

/// What comes to an origin over its next connection before the request's end.
async fn request(origin: &TcpListener) -> (String, TcpStream) {
    let (mut socket, _) = within(origin.accept()).await.unwrap();
    (next_request(&mut socket).await, socket)
}

async fn next_request(socket: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        assert!(within(socket.read_buf(&mut seen)).await.unwrap() > 0, "{}", seen.escape_ascii());
    }
    String::from_utf8_lossy(&seen).into_owned()
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_is_who_the_header_names() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = edge(18_120, "http", &[origin.local_addr().unwrap().port()]) + BEFORE;
    let control = Control::start(resources(&yaml)).await;
    let process = Process::start(&control, [127, 0, 11, 20]);
    process.ready().await;
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\x00\x09\x00\x50";
    let text = b"PROXY TCP6 2001:db8::7 ::1 9 80\r\n";
    let local = b"PROXY UNKNOWN\r\n";
    for (header, caller) in [(&binary[..], "192.0.2.7"), (text, "2001:db8::7"), (local, "127.0.0.1")] {
        let mut socket = connect(18_120).await;
        // In two pieces, the second of which has the request as well.
        let (first, rest) = header.split_at(7);
        socket.write_all(first).await.unwrap();
        socket.write_all(&[rest, GET.as_bytes()].concat()).await.unwrap();
        let (head, mut served) = request(&origin).await;
        assert!(head.contains(&format!("x-forwarded-for: {caller}\r\n")), "{head}");
        served.write_all(OK).await.unwrap();
        let mut answer = [0; 15];
        within(socket.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
    // Who sends none might be anybody.
    let mut socket = connect(18_120).await;
    socket.write_all(GET.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end, or a reset, for what was sent was not read.
    let _ = within(socket.read_to_end(&mut answer)).await;
    assert_eq!(answer, b"");
    process.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_goes_over_a_connection_that_names_its_caller() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = edge(18_121, "http", &[origin.local_addr().unwrap().port()]) + BEFORE + &behind("V1");
    let control = Control::start(resources(&yaml)).await;
    let process = Process::start(&control, [127, 0, 11, 21]);
    process.ready().await;
    for caller in ["192.0.2.1", "192.0.2.2"] {
        let mut socket = connect(18_121).await;
        let header = format!("PROXY TCP4 {caller} 127.0.0.1 9 80\r\n");
        socket.write_all((header + GET).as_bytes()).await.unwrap();
        let (head, mut served) = request(&origin).await;
        assert!(head.starts_with(&format!("PROXY TCP4 {caller} 127.0.0.1 9 80\r\nGET / ")), "{head}");
        served.write_all(OK).await.unwrap();
        // It is not kept for another.
        let mut more = Vec::new();
        within(served.read_to_end(&mut more)).await.unwrap();
        assert_eq!(more, b"");
    }
    process.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_announced_in_binary_form() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = edge(18_122, "tcp", &[origin.local_addr().unwrap().port()]) + BEFORE + &behind("V2");
    let control = Control::start(resources(&yaml)).await;
    let process = Process::start(&control, [127, 0, 11, 22]);
    process.ready().await;
    let mut socket = connect(18_122).await;
    socket.write_all(b"PROXY TCP4 192.0.2.1 127.0.0.1 258 80\r\nhello").await.unwrap();
    let (mut served, _) = within(origin.accept()).await.unwrap();
    let mut seen = [0; 33];
    within(served.read_exact(&mut seen)).await.unwrap();
    let expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x7f\x00\x00\x01\x01\x02\x00\x50hello";
    assert_eq!(seen.escape_ascii().to_string(), expected.escape_ascii().to_string());
    process.end().await.unwrap();
}
