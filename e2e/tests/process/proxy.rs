//! The whole proxy in this process: a gateway with threads, pages and listeners of its own.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mesh_types::{NodeId, NodeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use weft_proxy::admin::Addresses;
use weft_proxy::app;
use weft_proxy::app_health::Application;
use weft_proxy::config::{Node, Settings};

use crate::control::{Control, within};

/// A running proxy. It is told to end when it is dropped.
pub(crate) struct Process {
    pages: Addresses,
    end: Option<oneshot::Sender<()>>,
    ended: Option<std::thread::JoinHandle<anyhow::Result<()>>>,
    _token: tempfile::NamedTempFile,
}

impl Process {
    /// Starts a gateway. `pages` is a loopback address of this test alone.
    pub(crate) fn start(control: &Control, pages: [u8; 4]) -> Self {
        let mut token = tempfile::NamedTempFile::new().unwrap();
        token.write_all(control.token.as_bytes()).unwrap();
        let pages = Addresses {
            admin: SocketAddr::new(pages.into(), 15000),
            application: SocketAddr::new(pages.into(), 15020),
            status: vec![SocketAddr::new(pages.into(), 15021)],
        };
        let settings = Settings {
            node: node(),
            concurrency: 2,
            discovery: control.address.to_string(),
            authority: control.address.to_string(),
            discovery_roots: None,
            authority_roots: None,
            authority_crl: control.authority.path().join("ca-crl.pem"),
            token: token.path().to_owned(),
            control_plane_name: None,
            state_directory: None,
            drain: Duration::from_millis(300),
            grace: Duration::from_secs(5),
            pages: pages.clone(),
            application: Application::at(Ipv4Addr::LOCALHOST.into()),
            topology: None,
        };
        let (end, told) = oneshot::channel::<()>();
        let until = async move {
            let _ = told.await;
            Ok(())
        };
        let ended = std::thread::spawn(move || app::run(settings, until));
        Self { pages, end: Some(end), ended: Some(ended), _token: token }
    }

    /// The status of the readiness page; `None` while there is none.
    pub(crate) async fn readiness(&self) -> Option<u16> {
        let socket = TcpStream::connect(self.pages.status[0]).await.ok()?;
        get(socket, "/healthz/ready").await.map(|(status, _)| status)
    }

    /// Waits until the proxy says that it is ready.
    pub(crate) async fn ready(&self) {
        within(async {
            while self.readiness().await != Some(200) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Tells it to end, and waits until it has.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        let _ = self.end.take().unwrap().send(());
        let ended = self.ended.take().unwrap();
        within(tokio::task::spawn_blocking(|| ended.join().unwrap())).await.unwrap()
    }
}

fn node() -> Node {
    let id = NodeId {
        kind: NodeKind::Router,
        ip: [127, 0, 0, 1].into(),
        workload: "edge".into(),
        namespace: "default".into(),
        domain: "default.svc.cluster.local".into(),
    };
    Node {
        id,
        pod: "edge".into(),
        namespace: "default".into(),
        service_account: "edge".into(),
        trust_domain: Default::default(),
        cluster: "Kubernetes".into(),
        workload: "edge".into(),
        labels: [("istio".to_owned(), "ingressgateway".to_owned())].into(),
    }
}

/// One request on a connection of its own; status and body.
pub(crate) async fn get(mut socket: TcpStream, path: &str) -> Option<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop.example.com\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
