//! The whole proxy, with its threads, pages and listeners, against a control plane that does as the test says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod announced;
mod audit;
mod bytes;
mod control;
mod proxy;
mod revoked;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::google::protobuf::Any;
use galley::Objects;
use mesh_types::{NodeId, NodeKind};
use pilot::{Kind, Proxy, World};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use control::{Control, Table, within};
use proxy::{Process, get};

const ORIGIN: &str = "outbound|80||origin.example.com";

/// What a gateway on `port` needs to lead everything to an origin.
fn table(port: u16, origin: u16) -> Table {
    resources(&edge(port, "http", &[origin]))
}

/// A gateway that leads what comes on `port` to origins on this machine, as `http` or `tcp`.
fn edge(port: u16, protocol: &str, origins: &[u16]) -> String {
    let endpoint = |port: &u16| format!("{{address: 127.0.0.1, ports: {{{protocol}: {port}}}}}");
    let endpoints: Vec<String> = origins.iter().map(endpoint).collect();
    let (endpoints, declared) = (endpoints.join(", "), protocol.to_uppercase());
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: {port}, name: {protocol}, protocol: {declared}}}, hosts: ['*']}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: edge}}
spec:
  hosts: ['*']
  gateways: [edge]
  {protocol}: [{{route: [{{destination: {{host: origin.example.com, port: {{number: 80}}}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: origin}}
spec:
  hosts: [origin.example.com]
  ports: [{{number: 80, name: {protocol}, protocol: {declared}}}]
  resolution: STATIC
  endpoints: [{endpoints}]
"
    )
}

/// What the control plane tells a gateway.
fn resources(yaml: &str) -> Table {
    let loaded = galley::load(&"test.yaml".into(), yaml);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let world = World::build(&Arc::new(Objects::new(loaded.objects)));
    let id = NodeId {
        kind: NodeKind::Router,
        ip: [127, 0, 0, 1].into(),
        workload: "edge".into(),
        namespace: "default".into(),
        domain: "default.svc.cluster.local".into(),
    };
    let labels = [("istio".to_owned(), "ingressgateway".to_owned())].into();
    let resources = pilot::generate(&world, &Proxy::new(id, labels, false));
    let of = |kind: Kind| resources.all(kind).map(|(name, one)| (name.clone(), one.body.clone())).collect();
    Kind::ALL.into_iter().map(|kind| (kind.url().to_owned(), of(kind))).collect()
}

/// An origin that answers every request with `ok`, and counts them.
async fn origin() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while socket.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
                    if seen.ends_with(b"\r\n\r\n") {
                        counted.fetch_add(1, Ordering::Relaxed);
                        seen.clear();
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        if socket.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (port, count)
}

async fn call(port: u16) -> Option<(u16, String)> {
    get(TcpStream::connect(("127.0.0.1", port)).await.ok()?, "/").await
}

fn ok() -> Option<(u16, String)> {
    Some((200, "ok".to_owned()))
}

fn any(message: &Cluster) -> Any {
    Any { type_url: Kind::Cluster.url().to_owned(), value: message.encode_to_vec() }
}

fn cluster(table: &Table) -> Cluster {
    Cluster::decode(&*table[Kind::Cluster.url()][ORIGIN].value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_with_its_configuration_and_not_before() {
    let (origin, _) = origin().await;
    let mut control = Control::start(None).await;
    let process = Process::start(&control, [127, 0, 11, 1]);
    let stream = control.stream().await;
    within(async {
        while process.readiness().await.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(process.readiness().await, Some(503));
    control.answer(table(18_101, origin));
    // The next stream is answered from the table.
    stream.fail().await;
    process.ready().await;
    assert_eq!(call(18_101).await, ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bad_is_refused_by_name_and_field_and_what_was_good_serves_on() {
    let (origin, count) = origin().await;
    let table = table(18_102, origin);
    let good = cluster(&table);
    let mut control = Control::start(table).await;
    let process = Process::start(&control, [127, 0, 11, 2]);
    let mut stream = control.stream().await;
    process.ready().await;
    assert_eq!(call(18_102).await, ok());

    let bad = Cluster { load_balancing_policy: Some(Default::default()), ..good.clone() };
    let other = Cluster { name: "outbound|80||other.example.com".to_owned(), ..good.clone() };
    let said = stream.push(Kind::Cluster.url(), vec![(ORIGIN, any(&bad)), (&other.name.clone(), any(&other))]).await;
    let error = said.error_detail.expect("a refusal").message;
    assert!(error.contains(ORIGIN) && error.contains("load_balancing_policy"), "{error}");
    assert!(!error.contains("other.example.com"), "what is good in the same message is taken: {error}");
    assert_eq!(call(18_102).await, ok());

    let torn = Any { type_url: Kind::Cluster.url().to_owned(), value: vec![0xff; 40] };
    let said = stream.push(Kind::Cluster.url(), vec![(ORIGIN, torn)]).await;
    assert!(said.error_detail.is_some_and(|error| error.message.contains(ORIGIN)));
    let alien = Any { type_url: "type.googleapis.com/some.other.Thing".to_owned(), value: vec![1, 2, 3] };
    let said = stream.push(Kind::Cluster.url(), vec![(ORIGIN, alien)]).await;
    assert!(said.error_detail.is_some());
    assert_eq!(call(18_102).await, ok());

    let said = stream.push(Kind::Cluster.url(), vec![(ORIGIN, any(&good))]).await;
    assert!(said.error_detail.is_none(), "{:?}", said.error_detail);
    assert_eq!(call(18_102).await, ok());
    assert_eq!(count.load(Ordering::Relaxed), 4);
    process.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_is_taken_up_with_what_is_held() {
    let (origin, _) = origin().await;
    let mut control = Control::start(table(18_103, origin)).await;
    let process = Process::start(&control, [127, 0, 11, 3]);
    let stream = control.stream().await;
    process.ready().await;
    assert_eq!(call(18_103).await, ok());
    stream.fail().await;
    let mut again = control.stream().await;
    let first = within(again.first.recv()).await.unwrap();
    assert_eq!(first.type_url, Kind::Cluster.url());
    let held = first.initial_resource_versions;
    assert!(held.contains_key(ORIGIN) && held.contains_key("PassthroughCluster"), "{held:?}");
    assert_eq!(call(18_103).await, ok());
    process.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_after_what_it_has_begun() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = Control::start(table(18_104, listener.local_addr().unwrap().port())).await;
    let process = Process::start(&control, [127, 0, 11, 4]);
    process.ready().await;
    let calling = tokio::spawn(call(18_104));
    let (mut socket, _) = within(listener.accept()).await.unwrap();
    let mut seen = [0; 1024];
    assert!(within(socket.read(&mut seen)).await.unwrap() > 0, "the request is on its way");
    let ending = tokio::spawn(process.end());
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(within(calling).await.unwrap(), ok());
    within(ending).await.unwrap().unwrap();
}

/// Callers that send a byte and wait, and a caller that does not read, cost what they cost and hold nobody else up.
#[tokio::test(flavor = "multi_thread")]
async fn slow_callers_hold_only_themselves() {
    let (answering, _) = origin().await;
    let control = Control::start(table(18_105, answering)).await;
    let process = Process::start(&control, [127, 0, 11, 5]);
    process.ready().await;
    let mut waiting = Vec::new();
    for _ in 0..500 {
        let mut socket = TcpStream::connect(("127.0.0.1", 18_105)).await.unwrap();
        socket.write_all(b"GET / HT").await.unwrap();
        waiting.push(socket);
    }
    for _ in 0..50 {
        assert_eq!(within(call(18_105)).await, ok());
    }
    // Each of them is served when it comes to the point.
    for mut socket in waiting {
        socket.write_all(b"TP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        within(socket.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    process.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_stays_where_it_is() {
    const WHOLE: usize = 256 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = Control::start(table(18_106, listener.local_addr().unwrap().port())).await;
    let process = Process::start(&control, [127, 0, 11, 6]);
    process.ready().await;
    let mut caller = TcpStream::connect(("127.0.0.1", 18_106)).await.unwrap();
    caller.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (mut socket, _) = within(listener.accept()).await.unwrap();
    let mut seen = [0; 1024];
    within(socket.read(&mut seen)).await.unwrap();
    socket.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {WHOLE}\r\n\r\n").as_bytes()).await.unwrap();
    let piece = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    // What nothing more is taken of for so long is stuck, as it should be.
    while let Ok(Ok(more)) = tokio::time::timeout(Duration::from_millis(500), socket.write(&piece)).await {
        sent += more;
        assert!(sent < WHOLE / 4, "{sent} bytes were taken in for a caller that reads none");
    }
    // It goes on when the caller reads.
    let reading = tokio::spawn(async move {
        let mut read = 0;
        let mut buffer = vec![0; 64 * 1024];
        while read < sent {
            read += caller.read(&mut buffer).await.unwrap();
        }
    });
    within(reading).await.unwrap();
    process.end().await.unwrap();
}
