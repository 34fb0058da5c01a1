//! Connections that are carried as bytes.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use super::control::{Control, within};
use super::proxy::Process;
use super::{edge, resources};

/// Origins that say who they are and hang up.
async fn origins(count: u8) -> Vec<u16> {
    let mut ports = Vec::new();
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        ports.push(port);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.write_all(port.to_string().as_bytes()).await;
            }
        });
    }
    ports
}

/// A gateway that leads bytes on `port` to the origins.
fn yaml(port: u16, origins: &[u16], balancer: &str) -> String {
    let rule = format!(
        "\
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: origin}}
spec:
  host: origin.example.com
  trafficPolicy: {{loadBalancer: {balancer}}}
"
    );
    edge(port, "tcp", origins) + &rule
}

/// Who answers a caller from this address.
async fn answers(from: Ipv4Addr, port: u16) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.into(), 0)).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_comes_back_to_its_endpoint_where_the_source_is_hashed() {
    let origins = origins(4).await;
    let yaml = yaml(18_107, &origins, "{consistentHash: {useSourceIp: true}}");
    let control = Control::start(resources(&yaml)).await;
    let process = Process::start(&control, [127, 0, 11, 7]);
    process.ready().await;
    let mut used = BTreeSet::new();
    for caller in 1..=16 {
        let from = Ipv4Addr::new(127, 0, 12, caller);
        let first = within(answers(from, 18_107)).await;
        for _ in 0..4 {
            assert_eq!(within(answers(from, 18_107)).await, first, "{from}");
        }
        used.insert(first);
    }
    assert!(used.len() > 1, "sixteen callers all came to {used:?}");
    process.end().await.unwrap();
}
