//! What goes through.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use weft_proxy::model::*;

use crate::world::{Peer, run, target};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn requests_share_connections() {
    run(
        |_| (),
        |world| async move {
            let mut client = world.connect().await;
            client.send("GET /a HTTP/1.1\r\nhost: shop\r\nX-Case: Kept\r\n\r\n").await;
            let mut origin = world.accept().await;
            let head = origin.read_head().await;
            assert!(head.starts_with("GET /a HTTP/1.1\r\n") && head.contains("X-Case: Kept\r\n"), "{head}");
            assert!(head.contains("host: shop\r\n"), "{head}");
            origin.send(OK).await;
            assert!(client.read_to("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
            // Another caller, the same connection to the origin.
            let mut other = world.connect().await;
            other.send("GET /b HTTP/1.1\r\nhost: shop\r\n\r\n").await;
            assert!(origin.read_head().await.starts_with("GET /b "));
            origin.send(OK).await;
            other.read_to("ok").await;
        },
    );
}

#[test]
fn bodies_go_both_ways_in_every_framing() {
    run(
        |_| (),
        |world| async move {
            let mut client = world.connect().await;
            client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
            let mut origin = world.accept().await;
            assert!(origin.read_to("3\r\nabc\r\n").await.contains("transfer-encoding: chunked"));
            client.send("2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n").await;
            assert!(origin.read_to("x-sum: 5\r\n\r\n").await.starts_with("2\r\nde\r\n"));
            origin.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n").await;
            client.read_to("\r\n\r\n4\r\nfour\r\n0\r\n\r\n").await;
            client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello").await;
            assert!(origin.read_to("hello").await.contains("content-length: 5\r\n"));
            // Until close: in chunks to those who understand them.
            origin.send("HTTP/1.1 200 OK\r\n\r\nuntil close").await;
            drop(origin);
            client.read_to("until close\r\n0\r\n\r\n").await;
        },
    );
}

#[test]
fn pipelined_requests_are_answered_in_order_even_after_a_half_close() {
    run(
        |_| (),
        |world| async move {
            let mut client = world.connect().await;
            client.send("GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n").await;
            client.0.shutdown().await.unwrap();
            let mut origin = world.accept().await;
            for path in ["/1", "/2"] {
                assert!(origin.read_head().await.starts_with(&format!("GET {path} ")));
                origin.send(OK).await;
            }
            assert_eq!(client.read_all().await.matches("200 OK").count(), 2);
        },
    );
}

#[test]
fn a_caller_that_expects_continue_is_told_so() {
    run(
        |_| (),
        |world| async move {
            let mut client = world.connect().await;
            client.send("PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n").await;
            assert_eq!(client.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
            client.send("hi").await;
            let mut origin = world.accept().await;
            assert!(origin.read_to("hi").await.contains("content-length: 2"));
            origin.send(OK).await;
            assert!(client.read_to("ok").await.starts_with("HTTP/1.1 200"));
        },
    );
}

#[test]
fn websockets_become_tunnels() {
    run(
        |_| (),
        |world| async move {
            let mut client = world.connect().await;
            let upgrade = "connection: upgrade\r\nupgrade: websocket\r\n\r\n";
            client.send(&format!("GET /ws HTTP/1.1\r\nhost: a\r\n{upgrade}")).await;
            let mut origin = world.accept().await;
            let head = origin.read_head().await.to_ascii_lowercase();
            assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"), "{head}");
            origin.send(&format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}first")).await;
            assert!(client.read_to("first").await.starts_with("HTTP/1.1 101"));
            client.send("ping").await;
            origin.read_to("ping").await;
            origin.send("pong").await;
            client.read_to("pong").await;
            // Each direction ends by itself.
            client.0.shutdown().await.unwrap();
            assert_eq!(origin.read_all().await, "");
            origin.send("last").await;
            drop(origin);
            assert_eq!(client.read_all().await, "last");
        },
    );
}

#[test]
fn http10_gets_its_own_version_and_the_end_by_closing() {
    run(
        |_| (),
        |world| async move {
            let mut client = world.connect().await;
            client.send("GET / HTTP/1.0\r\n\r\n").await;
            let mut origin = world.accept().await;
            assert!(origin.read_head().await.starts_with("GET / HTTP/1.1\r\n"));
            origin.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
            let answer = client.read_all().await;
            assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
        },
    );
}

#[test]
fn edits_and_rewrites_are_made() {
    let change = |setting: &mut crate::world::Setting| {
        let mut target = target();
        target.path = PathRewrite::Prefix((*b"/new").into());
        target.host = HostRewrite::Literal((*b"inner").into());
        setting.route.matches.path = PathMatch::Prefix((*b"/old").into());
        setting.route.action = RouteAction::Forward(target);
        setting.route.edits.request =
            vec![HeaderEdit::Set("x-who".into(), "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%".into())];
        setting.route.edits.response = vec![HeaderEdit::Remove("x-secret".into())];
    };
    run(change, |world| async move {
        let mut client = world.connect().await;
        client.send("GET /old/a?q=1 HTTP/1.1\r\nhost: outer\r\n\r\n").await;
        let mut origin = world.accept().await;
        let head = origin.read_head().await;
        assert!(head.starts_with("GET /new/a?q=1 ") && head.contains("host: inner\r\n"), "{head}");
        assert!(head.contains("x-who: 127.0.0.1\r\n"), "{head}");
        origin.send("HTTP/1.1 200 OK\r\nx-secret: 1\r\ncontent-length: 2\r\n\r\nok").await;
        assert!(!client.read_to("ok").await.contains("x-secret"));
    });
}

#[test]
fn a_large_body_is_not_held_in_memory_and_arrives_whole() {
    run(
        |_| (),
        |world| async move {
            const SIZE: usize = 8 << 20;
            let mut client = world.connect().await;
            client.send(&format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {SIZE}\r\n\r\n")).await;
            let sender = tokio::task::spawn_local(async move {
                client.0.write_all(&vec![b'x'; SIZE]).await.unwrap();
                client
            });
            let mut origin = world.accept().await;
            origin.read_head().await;
            let mut body = vec![0; SIZE];
            tokio::io::AsyncReadExt::read_exact(&mut origin.0, &mut body).await.unwrap();
            assert!(body.iter().all(|byte| *byte == b'x'));
            origin.send(OK).await;
            sender.await.unwrap().read_to("ok").await;
        },
    );
}

#[test]
fn a_proxy_of_the_mesh_is_told_once_a_connection_who_calls() {
    run(
        |setting| setting.mesh = true,
        |world| async move {
            let mut caller = world.connect().await;
            let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            caller.send(request).await;
            let mut proxy = world.accept().await;
            let mut answer = async |proxy: &mut Peer| {
                let head = proxy.read_head().await;
                proxy.send("HTTP/1.1 204 No Content\r\n\r\n").await;
                caller.read_head().await;
                caller.send(request).await;
                head.contains("x-envoy-peer-metadata: ")
            };
            assert!(answer(&mut proxy).await, "the first request tells");
            assert!(!answer(&mut proxy).await, "what was told is remembered");
            drop(proxy);
            // The third went to the connection that is gone, and is sent again.
            let mut proxy = world.accept().await;
            assert!(answer(&mut proxy).await, "a new connection knows nothing");
        },
    );
}

#[test]
fn an_upload_that_moves_is_not_idle_and_one_that_stops_is() {
    const PIECES: usize = 6;
    const IDLE: Duration = Duration::from_secs(1);
    run(
        |setting| setting.http.stream_idle_timeout = Some(IDLE),
        |world| async move {
            let mut client = world.connect().await;
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", PIECES + 1);
            client.send(&head).await;
            let mut origin = world.accept().await;
            origin.read_head().await;
            for _ in 0..PIECES {
                tokio::time::sleep(IDLE / 4).await;
                client.send("x").await;
                origin.read_to("x").await;
            }
            let answer = client.read_head().await;
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        },
    );
}
