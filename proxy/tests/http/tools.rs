//! Clients and suites that are not ours, as processes beside the proxy.

use std::path::Path;
use std::process::Output;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use weft_proxy::model::{CodecType, DirectResponse, RouteAction, UpstreamProtocol};

use crate::world::{Setting, World, run};

fn answers_itself(setting: &mut Setting) {
    let body = b"a body of our own"[..].into();
    setting.route.action = RouteAction::Direct(DirectResponse { status: 200, body });
}

/// An HTTP/1 origin that answers each request once it is complete.
async fn answer_all(listener: tokio::net::TcpListener) {
    while let Ok((mut socket, _)) = listener.accept().await {
        tokio::task::spawn_local(async move {
            let mut text = Vec::new();
            while socket.read_buf(&mut text).await.is_ok_and(|count| count > 0) {
                if is_whole(&text) {
                    text.clear();
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
                }
            }
        });
    }
}

/// True for a request with all of its body.
fn is_whole(text: &[u8]) -> bool {
    let Some(head) = text.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let (head, body) = (String::from_utf8_lossy(&text[..head]).to_lowercase(), &text[head + 4..]);
    if head.contains("transfer-encoding: chunked") {
        let last = body.starts_with(b"0\r\n") || body.windows(5).any(|word| word == b"\r\n0\r\n");
        return last && body.ends_with(b"\r\n\r\n");
    }
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

async fn output(command: &mut Command) -> Output {
    command.kill_on_drop(true).output().await.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The conformance suite of HTTP/2: 146 cases on how a server treats what it is sent.
#[test]
fn h2spec() {
    let Some(binary) = std::env::var_os("WEFT_H2SPEC") else {
        assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped");
        eprintln!("SKIPPED: WEFT_H2SPEC does not name the h2spec binary (cargo xtask setup builds it)");
        return;
    };
    run(
        |setting| setting.http.codec = CodecType::Http2,
        |world| async move {
            tokio::task::spawn_local(answer_all(world.origin));
            let port = world.proxy.port().to_string();
            let done =
                output(Command::new(Path::new(&binary)).args(["-h", "127.0.0.1", "-p", &port, "-o", "2", "--strict"]))
                    .await;
            let report = text(&done.stdout);
            assert!(done.status.success(), "{report}");
            assert!(report.contains("146 tests, 146 passed, 0 skipped, 0 failed"), "{report}");
        },
    );
}

#[test]
fn curl_over_http2() {
    run(answers_itself, |world| async move {
        let url = format!("http://{}/x", world.proxy);
        let done = output(Command::new("curl").args(["-sSi", "--http2-prior-knowledge", &url])).await;
        let answer = text(&done.stdout);
        assert!(answer.starts_with("HTTP/2 200"), "{answer}{}", text(&done.stderr));
        assert!(answer.ends_with("a body of our own"), "{answer}");
    });
}

/// An upload through nghttpd, a server that is not ours, by curl, a client that is not: both sides HTTP/2.
#[test]
fn nghttpd_behind_us() {
    let files = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..2_000_000_u32).map(|at| (at % 251) as u8).collect();
    std::fs::write(files.path().join("large"), &large).unwrap();
    let [port] = free_ports();
    run(
        |setting| {
            setting.cluster.http.protocol = UpstreamProtocol::Http2;
            setting.origin = Some(([127, 0, 0, 1], port).into());
        },
        |world| async move {
            let root = files.path().to_str().unwrap();
            let port = port.to_string();
            let server = ["-a", "127.0.0.1", "--no-tls", "-d", root, "--echo-upload", &port];
            let mut server = Command::new("nghttpd").args(server).kill_on_drop(true).spawn().unwrap();
            listening(&port).await;
            fetch(&world, &large).await;
            server.kill().await.unwrap();
        },
    );
}

async fn listening(port: &str) {
    while tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err() {
        tokio::task::yield_now().await;
    }
}

async fn fetch(world: &World, large: &[u8]) {
    let url = format!("http://{}/large", world.proxy);
    for version in ["--http2-prior-knowledge", "--http1.1"] {
        let done = output(Command::new("curl").args(["-sS", version, &url])).await;
        assert!(done.stdout == large, "{version}: {} bytes, {}", done.stdout.len(), text(&done.stderr));
    }
    let load = output(Command::new("nghttp").args(["-n", "-m", "50", &url])).await;
    assert!(load.status.success(), "{}", text(&load.stderr));
}

/// HAProxy before us and behind us, both in HTTP/2.
#[test]
fn haproxy_on_both_sides() {
    let [front, back, ours] = free_ports();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("haproxy.cfg");
    let text = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n\
         frontend front\n  bind 127.0.0.1:{front}\n  default_backend us\n\
         backend us\n  server us 127.0.0.1:{ours} proto h2\n\
         frontend back\n  bind 127.0.0.1:{back} proto h2\n  \
         http-request return status 200 content-type text/plain hdr x-saw %[req.ver] lf-string %[method]%[path]%[req.hdr(x-sent)]\n"
    );
    std::fs::write(&config, text).unwrap();
    let change = |setting: &mut Setting| {
        setting.cluster.http.protocol = UpstreamProtocol::Http2;
        setting.origin = Some(([127, 0, 0, 1], back).into());
        setting.listen = Some(([127, 0, 0, 1], ours).into());
    };
    run(change, |_world| async move {
        let mut haproxy = Command::new("haproxy");
        let mut haproxy = haproxy.arg("-db").arg("-f").arg(&config).kill_on_drop(true).spawn().unwrap();
        listening(&front.to_string()).await;
        let url = format!("http://127.0.0.1:{front}/a/b");
        let large = format!("x-sent: {}", "v".repeat(6000));
        for _ in 0..3 {
            let sent = ["-sSi", "-H", &large, "-d", "question", &url];
            let done = output(Command::new("curl").args(sent)).await;
            let answer = text_of(&done);
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-saw: 2.0"), "{answer}");
            assert!(answer.ends_with(&format!("POST/a/b{}", "v".repeat(6000))), "{answer}");
        }
        haproxy.kill().await.unwrap();
    });
}

fn text_of(done: &Output) -> String {
    text(&done.stdout) + &text(&done.stderr)
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held: Vec<_> = (0..N).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|index| held[index].local_addr().unwrap().port())
}
