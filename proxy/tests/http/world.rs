//! A proxy with one route to one origin that answers as it is told.

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_runtime::{Drain, DrainTrigger};
use parking_lot::RwLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use weft_proxy::config::Node;
use weft_proxy::conn::{ConnInfo, PeerTls};
use weft_proxy::http::{self, Live};
use weft_proxy::model::*;
use weft_proxy::record::{Recorder, Registry, Sink};
use weft_proxy::stream::Stream;
use weft_proxy::upstream::Shared;
use weft_proxy::worker::Worker;
use weft_proxy::xds::Config;

/// What a test changes before the proxy begins.
pub(crate) struct Setting {
    pub(crate) route: Route,
    pub(crate) cluster: Cluster,
    pub(crate) http: HttpConnection,
    /// Addresses beside the origin's.
    pub(crate) more: Vec<SocketAddr>,
    /// Instead of the origin that the world keeps.
    pub(crate) origin: Option<SocketAddr>,
    /// Where the proxy listens, if it matters.
    pub(crate) listen: Option<SocketAddr>,
    /// On which side of its workload.
    pub(crate) kind: ListenerKind,
    /// The callers' TLS that was terminated before.
    pub(crate) tls: Option<PeerTls>,
    /// The endpoints are proxies of the mesh.
    pub(crate) mesh: bool,
}

/// Held by tests that nothing else may run beside.
static BESIDE: RwLock<()> = RwLock::new(());

/// Runs a test against a proxy whose only route leads to `origin`.
pub(crate) fn run<F: Future<Output = ()>>(change: impl FnOnce(&mut Setting), test: impl FnOnce(World) -> F) {
    let _beside = BESIDE.read();
    run_here(change, test);
}

/// The same with no other test beside: whoever looks at what the kernel counts for everybody must not see what others
/// do on purpose.
pub(crate) fn run_alone<F: Future<Output = ()>>(change: impl FnOnce(&mut Setting), test: impl FnOnce(World) -> F) {
    let _alone = BESIDE.write();
    run_here(change, test);
}

fn run_here<F: Future<Output = ()>>(change: impl FnOnce(&mut Setting), test: impl FnOnce(World) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let limit = tokio::time::timeout(Duration::from_secs(20), async { test(World::start(change).await).await });
        limit.await.expect("the test hangs");
    });
}

pub(crate) struct World {
    pub(crate) origin: TcpListener,
    pub(crate) proxy: SocketAddr,
    /// What the proxy reads; routes are read by name if the test named them so.
    pub(crate) config: Config,
    /// Tells the proxy to end.
    pub(crate) end: DrainTrigger,
}

impl World {
    async fn start(change: impl FnOnce(&mut Setting)) -> Self {
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut setting = setting();
        change(&mut setting);
        let mut addresses = vec![setting.origin.unwrap_or(origin.local_addr().unwrap())];
        addresses.splice(0..0, setting.more.iter().copied());
        let (end, drain) = Drain::new();
        let worker = Rc::new(worker(&mut setting, &addresses, drain));
        let config = worker.config.clone();
        let listen = setting.listen.unwrap_or(([127, 0, 0, 1], 0).into());
        let listener = TcpListener::bind(listen).await.unwrap();
        let proxy = listener.local_addr().unwrap();
        let (http, kind, tls) = (Arc::new(setting.http), setting.kind, setting.tls);
        tokio::task::spawn_local(async move {
            loop {
                let (socket, peer) = listener.accept().await.unwrap();
                let conn = Rc::new(ConnInfo { kind, tls: tls.clone(), ..conn(peer, proxy) });
                let (worker, http) = (worker.clone(), http.clone());
                tokio::task::spawn_local(async move {
                    http::serve(&worker, &conn, Live::fixed(http), Stream::plain(socket)).await;
                });
            }
        });
        Self { origin, proxy, config, end }
    }

    pub(crate) async fn connect(&self) -> Peer {
        Peer(TcpStream::connect(self.proxy).await.unwrap())
    }

    /// The origin's next connection, while something else has to go on.
    pub(crate) async fn accept_while<T>(&self, other: &mut (impl Future<Output = T> + Unpin)) -> Peer {
        tokio::select! {
            peer = self.accept() => peer,
            _ = other => panic!("it ended"),
        }
    }

    pub(crate) async fn accept(&self) -> Peer {
        Peer(self.origin.accept().await.unwrap().0)
    }
}

/// One end of a connection, in text.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until what came ends with `end`.
    pub(crate) async fn read_to(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let byte = self.0.read_u8().await;
            let byte = byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&text)));
            text.push(byte);
        }
        String::from_utf8(text).unwrap()
    }

    pub(crate) async fn read_head(&mut self) -> String {
        self.read_to("\r\n\r\n").await
    }

    pub(crate) async fn read_all(&mut self) -> String {
        let mut text = Vec::new();
        // A reset after the bytes is an end too.
        let _ = self.0.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    }
}

fn conn(peer: SocketAddr, local: SocketAddr) -> ConnInfo {
    ConnInfo::new(ListenerKind::Outbound, "0.0.0.0_80".into(), peer, local)
}

fn worker(setting: &mut Setting, addresses: &[SocketAddr], drain: Drain) -> Worker {
    let mesh = setting.mesh;
    let endpoint = |address: &SocketAddr| {
        Arc::new(Endpoint {
            address: *address,
            hostname: None,
            health: EndpointHealth::Healthy,
            weight: 1,
            mtls: mesh,
            workload: None,
        })
    };
    let endpoints = EndpointSet {
        localities: vec![LocalityEndpoints {
            locality: Default::default(),
            priority: 0,
            weight: 1,
            endpoints: addresses.iter().map(endpoint).collect(),
        }],
    };
    let mut snapshot = Snapshot::default();
    setting.cluster.discovery = Discovery::Static(Arc::new(endpoints));
    snapshot.clusters.insert("origin".into(), Arc::new(setting.cluster.clone()));
    let host = VirtualHost { name: "all".into(), routes: vec![Arc::new(setting.route.clone())], ..Default::default() };
    let routes = RouteConfig {
        name: "80".into(),
        virtual_hosts: vec![Arc::new(host)],
        any: Some(0),
        ignore_port: true,
        ..Default::default()
    };
    snapshot.routes.insert("80".into(), Arc::new(routes));
    let shared = Shared::new(tokio::runtime::Handle::current());
    Worker::new(Config::fixed(snapshot), drain, shared, recorder())
}

fn recorder() -> Recorder {
    let id = "sidecar~10.0.0.1~a.default~default.svc.cluster.local".parse().unwrap();
    let node = Node {
        id,
        pod: "a".into(),
        namespace: "default".into(),
        service_account: "a".into(),
        trust_domain: Default::default(),
        cluster: "Kubernetes".into(),
        workload: "a".into(),
        labels: Default::default(),
    };
    Recorder::new(node.into(), &Registry::default(), &Sink::start().unwrap())
}

fn setting() -> Setting {
    Setting {
        route: route(),
        cluster: cluster(),
        http: connection(),
        more: Vec::new(),
        origin: None,
        listen: None,
        kind: ListenerKind::Outbound,
        tls: None,
        mesh: false,
    }
}

pub(crate) fn target() -> RouteTarget {
    RouteTarget {
        clusters: vec![WeightedCluster { name: "origin".into(), weight: 1, edits: HeaderEdits::default() }],
        total_weight: 1,
        path: PathRewrite::Keep,
        host: HostRewrite::Keep,
        timeout: None,
        idle_timeout: None,
        retry: None,
        mirrors: Vec::new(),
        hash: Vec::new(),
        max_grpc_timeout: None,
        upgrades: Vec::new(),
    }
}

fn route() -> Route {
    Route {
        name: "default".into(),
        matches: RouteMatch {
            path: PathMatch::Any,
            ignore_case: false,
            fields: Vec::new(),
            query: Vec::new(),
            grpc_only: false,
            runtime_fraction: None,
        },
        action: RouteAction::Forward(target()),
        edits: HeaderEdits::default(),
        fault: None,
        cors: None,
    }
}

fn cluster() -> Cluster {
    Cluster {
        name: "origin".into(),
        discovery: Discovery::OriginalDst,
        lb: LbPolicy::RoundRobin,
        locality_weighted: false,
        panic_threshold: 0,
        connect_timeout: Duration::from_secs(2),
        http: UpstreamHttp {
            protocol: UpstreamProtocol::Http1,
            idle_timeout: Some(Duration::from_secs(60)),
            max_requests_per_connection: 0,
            max_concurrent_streams: 100,
        },
        tls: Vec::new(),
        breakers: CircuitBreakers {
            max_connections: u32::MAX,
            max_pending: u32::MAX,
            max_requests: u32::MAX,
            max_retries: u32::MAX,
            retry_budget: None,
        },
        outlier: None,
        keepalive: None,
        service: None,
        bind: None,
        proxy_protocol: None,
    }
}

fn connection() -> HttpConnection {
    HttpConnection {
        stat_prefix: "outbound_0.0.0.0_80".into(),
        codec: CodecType::Auto,
        routes: RouteSource::Rds("80".into()),
        filters: HttpFilters { fault: true, cors: true, ..Default::default() },
        access_logs: Arc::new([]),
        normalize_path: true,
        merge_slashes: false,
        unescape_slashes: false,
        use_remote_address: false,
        xff_trusted_hops: 0,
        forward_client_cert: ForwardClientCert::Sanitize,
        server_name: None,
        generate_request_id: false,
        idle_timeout: None,
        stream_idle_timeout: None,
        request_headers_timeout: None,
        http10: true,
        upgrades: vec!["websocket".into()],
        max_head: 60 * 1024,
    }
}

/// Passive health that lets go of an endpoint at its first failure.
pub(crate) fn ejects_at_once() -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: 1,
        consecutive_gateway: 0,
        consecutive_local: 0,
        split_local: false,
        interval: Duration::from_secs(60),
        base_ejection: Duration::from_secs(60),
        max_ejection: Duration::from_secs(60),
        max_ejection_percent: 100,
    }
}
