//! An application and a caller, each behind a proxy of its own.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mesh_runtime::{DrainTrigger, Readiness};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::model::*;
use crate::worker::Worker;
use crate::xds::Config;

/// An application behind its proxy, and the proxy of a caller.
pub(super) struct World {
    /// Where the caller's application connects to.
    pub(super) caller: SocketAddr,
    pub(super) caller_worker: Rc<Worker>,
    pub(super) callee: Snapshot,
    pub(super) callee_config: Config,
    pub(super) callee_drain: DrainTrigger,
    pub(super) application: TcpListener,
}

pub(super) fn run<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let world = World::start().await;
        tokio::time::timeout(Duration::from_secs(20), test(world)).await.expect("the test hangs");
    });
}

impl World {
    pub(super) async fn start() -> Self {
        let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callee = callee(free_port(), application.local_addr().unwrap());
        let address = callee.listeners["virtualInbound"].addresses[0];
        let caller = caller(free_port(), address, &callee);
        let (caller_worker, _) = start_proxy(caller.clone()).await;
        let (callee_worker, callee_drain) = start_proxy(callee.clone()).await;
        Self {
            caller: caller.listeners["outbound"].addresses[0],
            caller_worker,
            callee,
            callee_config: callee_worker.config.clone(),
            callee_drain,
            application,
        }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.caller).await.unwrap()
    }

    /// A caller, and its end at the application.
    pub(super) async fn pair(&self) -> (TcpStream, TcpStream) {
        let caller = self.connect().await;
        (caller, self.application.accept().await.unwrap().0)
    }

    /// A connection from its beginning to its end: a question and its answer, each closed by its side.
    pub(super) async fn exchange(&self) {
        let (mut caller, mut application) = self.pair().await;
        caller.write_all(b"question").await.unwrap();
        caller.shutdown().await.unwrap();
        assert_eq!(read(&mut application).await.unwrap(), b"question");
        application.write_all(b"answer").await.unwrap();
        drop(application);
        assert_eq!(read(&mut caller).await.unwrap(), b"answer");
    }

    /// A connection that the caller's proxy ends without the application's having seen it.
    pub(super) async fn refused(&self) {
        let mut caller = self.connect().await;
        assert_eq!(read(&mut caller).await.unwrap_or_default(), b"");
        assert!(std::future::poll_fn(|cx| Poll::Ready(self.application.poll_accept(cx).is_pending())).await);
    }

    /// Carriers that wait at the caller's.
    pub(super) async fn idle_carriers(&self, wanted: usize) {
        let count = || {
            let mut count = 0;
            self.caller_worker.upstreams.for_each_host(|_, host| count += host.pool().idle_carriers());
            count
        };
        while count() != wanted {
            tokio::task::yield_now().await;
        }
    }
}

pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

pub(super) fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Runs a proxy of one worker until it listens.
pub(super) async fn start_proxy(snapshot: Snapshot) -> (Rc<Worker>, DrainTrigger) {
    let config = Config::fixed(Snapshot::default());
    let (worker, trigger) = Worker::of_test(config.clone());
    let worker = Rc::new(worker);
    config.publish(snapshot);
    let readiness = Readiness::new();
    tokio::task::spawn_local(crate::accept::listen(worker.clone(), readiness.block("sockets")));
    readiness.ready().await;
    (worker, trigger)
}

pub(super) fn secrets() -> Vec<(SecretName, Arc<TlsSecrets>)> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = vec![SanType::URI("spiffe://cluster.local/ns/default/sa/a".try_into().unwrap())];
    let chain = params.signed_by(&key, &issuer).unwrap().pem();
    let keys = ServerKeys { chain_pem: chain.into(), key_pem: key.serialize_pem().into() };
    let workload = TlsSecrets { keys: Some(keys), ..Default::default() };
    let roots = TlsSecrets { roots_pem: Some(root.into()), ..Default::default() };
    vec![(SecretName::Workload, workload.into()), (SecretName::MeshRoots, roots.into())]
}

pub(super) fn callee(address: SocketAddr, application: SocketAddr) -> Snapshot {
    let tls = DownstreamTls {
        certificates: vec![SecretName::Workload],
        client_roots: Some(SecretName::MeshRoots),
        client_crl: None,
        require_client_certificate: true,
        client_sans: Vec::new(),
        alpn: ["h2", "http/1.1", "istio"].map(Into::into).to_vec(),
        tls13_only: false,
        tls12_only: false,
    };
    let mut snapshot = Snapshot::default();
    snapshot.secrets.extend(secrets());
    lead(&mut snapshot, ("virtualInbound", ListenerKind::Inbound, address), Some(tls), (application, Vec::new()));
    snapshot
}

pub(super) fn caller(address: SocketAddr, callee: SocketAddr, of: &Snapshot) -> Snapshot {
    let tls = UpstreamTls {
        certificate: Some(SecretName::Workload),
        roots: Some(SecretName::MeshRoots),
        crl: None,
        identities: Arc::new(["spiffe://cluster.local/ns/default/sa/a".parse().unwrap()]),
        sans: Vec::new(),
        sni: Some("outbound_.80_._.callee.default.svc.cluster.local".into()),
        alpn: vec!["istio".into()],
        istio: true,
    };
    let mut snapshot = Snapshot { secrets: of.secrets.clone(), ..Default::default() };
    let tls = vec![(TlsWhen::Always, tls.into())];
    lead(&mut snapshot, ("outbound", ListenerKind::Outbound, address), None, (callee, tls));
    snapshot
}

/// A listener whose only chain leads bytes to one endpoint.
pub(super) fn lead(
    snapshot: &mut Snapshot,
    (name, kind, listen): (&str, ListenerKind, SocketAddr),
    tls: Option<DownstreamTls>,
    (endpoint, upstream_tls): (SocketAddr, Vec<(TlsWhen, Arc<UpstreamTls>)>),
) {
    let proxy = TcpProxy {
        clusters: vec![WeightedCluster { name: name.into(), weight: 1, edits: HeaderEdits::default() }],
        idle_timeout: None,
        hashes_source: false,
        access_logs: Arc::new([]),
    };
    let chain = FilterChain {
        name: name.into(),
        matches: ChainMatch::default(),
        tls: tls.clone().map(Into::into),
        rbac: Vec::new(),
        terminal: Terminal::Tcp(proxy.into()),
    };
    let listener = Listener {
        name: name.into(),
        addresses: vec![listen],
        bind: true,
        kind,
        redirected: false,
        inspect: Inspect { tls: tls.is_some(), ..Inspect::default() },
        chains: vec![chain.into()],
        default_chain: None,
        access_logs: Arc::new([]),
        last_use: Default::default(),
    };
    snapshot.listeners.insert(name.into(), listener.into());
    let endpoint = Endpoint {
        address: endpoint,
        hostname: None,
        health: EndpointHealth::Healthy,
        weight: 1,
        mtls: true,
        workload: None,
    };
    let locality =
        LocalityEndpoints { locality: Default::default(), priority: 0, weight: 1, endpoints: vec![endpoint.into()] };
    let discovery = Discovery::Static(EndpointSet { localities: vec![locality] }.into());
    let cluster = Cluster {
        name: name.into(),
        connect_timeout: Duration::from_secs(5),
        tls: upstream_tls,
        ..crate::upstream::tests::cluster(discovery)
    };
    snapshot.clusters.insert(name.into(), cluster.into());
}

/// The callee's snapshot with other chains, made of its only one.
pub(super) fn with_chains(callee: &Snapshot, chains: impl FnOnce(FilterChain) -> Vec<FilterChain>) -> Snapshot {
    let mut snapshot = callee.clone();
    let mut listener = (*snapshot.listeners["virtualInbound"]).clone();
    listener.chains = chains((*listener.chains[0]).clone()).into_iter().map(Into::into).collect();
    snapshot.listeners.insert("virtualInbound".into(), listener.into());
    snapshot
}

/// The callee's snapshot with network policies.
pub(super) fn forbidding(callee: &Snapshot, rbac: Vec<Arc<Rbac>>) -> Snapshot {
    with_chains(callee, |chain| vec![FilterChain { rbac, ..chain }])
}

/// The callee's snapshot for callers of this name alone.
pub(super) fn for_callers_named(callee: &Snapshot, name: &str) -> Snapshot {
    let name = StringMatch::Exact { text: name.as_bytes().into(), ignore_case: false };
    with_chains(callee, |chain| {
        let tls = chain.tls.as_deref().cloned().map(|tls| DownstreamTls { client_sans: vec![name], ..tls });
        vec![FilterChain { tls: tls.map(Into::into), ..chain }]
    })
}

/// A way to an address on which the first bytes linger, as they do from a caller that is busy.
pub(super) async fn lingering_way(to: SocketAddr) -> SocketAddr {
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = way.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((mut near, _)) = way.accept().await {
            let mut far = TcpStream::connect(to).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            tokio::task::spawn_local(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    address
}
