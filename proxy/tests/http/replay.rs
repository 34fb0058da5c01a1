//! What is sent again without anybody's word, because no application has taken it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use weft_proxy::conn::PeerTls;
use weft_proxy::model::ListenerKind;

use crate::world::{Peer, Setting, World, run};

const POST: &str = "POST /pay HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nmoney";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const MARK: &str = "x-weft-unprocessed: true\r\n";

fn unprocessed() -> String {
    format!("HTTP/1.1 503 Service Unavailable\r\n{MARK}content-length: 0\r\n\r\n")
}

/// A server that says of each request, once, whatever comes, that its application has not seen it.
fn refuses(times: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming().take(times) {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 4096]).unwrap();
            socket.write_all(unprocessed().as_bytes()).unwrap();
        }
    });
    address
}

/// A caller whose POST an origin has read.
async fn delivered(world: &World) -> (Peer, Peer) {
    let mut client = world.connect().await;
    client.send(POST).await;
    let mut origin = world.accept().await;
    origin.read_to("money").await;
    (client, origin)
}

#[test]
fn another_endpoint_gets_what_the_first_could_not_hand_over() {
    run(
        |setting| {
            setting.mesh = true;
            setting.more = vec![refuses(2)];
        },
        |world| async move {
            // At least one of these goes to the endpoint that cannot.
            for _ in 0..2 {
                let mut client = world.connect().await;
                client.send(POST).await;
                let mut origin = world.accept().await;
                assert!(origin.read_to("money").await.starts_with("POST /pay "));
                origin.send(&OK.replace("200 OK\r\n", "200 OK\r\nconnection: close\r\n")).await;
                drop(origin);
                assert!(client.read_to("ok").await.starts_with("HTTP/1.1 200"));
            }
        },
    );
}

#[test]
fn it_is_sent_again_once_and_nobody_outside_hears_of_it() {
    run(
        |setting| {
            setting.mesh = true;
            setting.origin = Some(refuses(2));
        },
        |world| async move {
            let mut client = world.connect().await;
            client.send(POST).await;
            let answer = client.read_head().await;
            assert!(answer.starts_with("HTTP/1.1 503 ") && !answer.contains("unprocessed"), "{answer}");
        },
    );
}

#[test]
fn a_stranger_cannot_ask_for_it() {
    run(
        |_| (),
        |world| async move {
            let (mut client, mut origin) = delivered(&world).await;
            origin.send(&unprocessed()).await;
            let answer = client.read_head().await;
            assert!(answer.starts_with("HTTP/1.1 503 ") && !answer.contains("unprocessed"), "{answer}");
        },
    );
}

fn beside_an_application(setting: &mut Setting, peer: Option<&str>) {
    setting.kind = ListenerKind::Inbound;
    setting.tls = Some(peer.map_or_else(PeerTls::default, PeerTls::with_peer));
}

#[test]
fn the_mesh_is_told_that_the_application_is_gone() {
    for (peer, told) in [(Some("spiffe://cluster.local/ns/a/sa/b"), true), (None, false)] {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        run(
            |setting| {
                beside_an_application(setting, peer);
                setting.origin = Some(gone);
            },
            |world| async move {
                let mut client = world.connect().await;
                client.send(POST).await;
                let answer = client.read_head().await;
                assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
                assert_eq!(answer.contains(MARK), told, "{peer:?}: {answer}");
            },
        );
    }
}

#[test]
fn the_mesh_is_not_told_so_of_what_the_application_has_read() {
    run(
        |setting| beside_an_application(setting, Some("spiffe://cluster.local/ns/a/sa/b")),
        |world| async move {
            let (mut client, origin) = delivered(&world).await;
            drop(origin);
            let answer = client.read_head().await;
            assert!(answer.starts_with("HTTP/1.1 503 ") && !answer.contains(MARK), "{answer}");
        },
    );
}

#[test]
fn an_application_cannot_say_so_itself() {
    run(
        |setting| beside_an_application(setting, Some("spiffe://cluster.local/ns/a/sa/b")),
        |world| async move {
            let (mut client, mut origin) = delivered(&world).await;
            origin.send(&unprocessed()).await;
            let answer = client.read_head().await;
            assert!(answer.starts_with("HTTP/1.1 503 ") && !answer.contains(MARK), "{answer}");
        },
    );
}
