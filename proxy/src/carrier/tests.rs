use std::future::Future;
use std::net::SocketAddr;

use mesh_runtime::{DrainTrigger, Readiness};
use mesh_tls::{
    Certificates, ClientAuth, ClientSettings, KeyedCertificate, PeerTest, Roots, ServerSettings, ServerTls, Versions,
};
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::*;
use crate::model::*;
use crate::worker::Worker;
use crate::xds::Config;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// An application behind its proxy, and the proxy of a caller.
struct World {
    /// Where the caller's application connects to.
    caller: SocketAddr,
    caller_worker: Rc<Worker>,
    callee: Snapshot,
    callee_config: Config,
    callee_drain: DrainTrigger,
    application: TcpListener,
}

fn run<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let world = World::start().await;
        tokio::time::timeout(Duration::from_secs(20), test(world)).await.expect("the test hangs");
    });
}

impl World {
    async fn start() -> Self {
        let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callee = callee(free_port(), application.local_addr().unwrap());
        let address = callee.listeners["virtualInbound"].addresses[0];
        let caller = caller(free_port(), address, &callee);
        let (caller_worker, _) = serve(caller.clone()).await;
        let (callee_worker, callee_drain) = serve(callee.clone()).await;
        Self {
            caller: caller.listeners["outbound"].addresses[0],
            caller_worker,
            callee,
            callee_config: callee_worker.config.clone(),
            callee_drain,
            application,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.caller).await.unwrap()
    }

    /// A caller, and its end at the application.
    async fn pair(&self) -> (TcpStream, TcpStream) {
        let caller = self.connect().await;
        (caller, self.application.accept().await.unwrap().0)
    }

    /// A connection from its beginning to its end: a question and its answer, each closed by its side.
    async fn exchange(&self) {
        let (mut caller, mut application) = self.pair().await;
        caller.write_all(b"question").await.unwrap();
        caller.shutdown().await.unwrap();
        assert_eq!(read(&mut application).await.unwrap(), b"question");
        application.write_all(b"answer").await.unwrap();
        drop(application);
        assert_eq!(read(&mut caller).await.unwrap(), b"answer");
    }

    /// A connection that the caller's proxy ends without the application's having seen it.
    async fn refused(&self) {
        let mut caller = self.connect().await;
        assert_eq!(read(&mut caller).await.unwrap_or_default(), b"");
        assert!(std::future::poll_fn(|cx| Poll::Ready(self.application.poll_accept(cx).is_pending())).await);
    }

    /// Carriers that wait at the caller's.
    async fn idle_carriers(&self, wanted: usize) {
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

async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Runs a proxy of one worker until it listens.
async fn serve(snapshot: Snapshot) -> (Rc<Worker>, DrainTrigger) {
    let config = Config::fixed(Snapshot::default());
    let (worker, trigger) = Worker::of_test(config.clone());
    let worker = Rc::new(worker);
    config.publish(snapshot);
    let readiness = Readiness::new();
    tokio::task::spawn_local(crate::accept::listen(worker.clone(), readiness.block("sockets")));
    readiness.ready().await;
    (worker, trigger)
}

fn secrets() -> Vec<(SecretName, Arc<TlsSecrets>)> {
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

fn callee(address: SocketAddr, application: SocketAddr) -> Snapshot {
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

fn caller(address: SocketAddr, callee: SocketAddr, of: &Snapshot) -> Snapshot {
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
fn lead(
    snapshot: &mut Snapshot,
    (name, kind, listen): (&str, ListenerKind, SocketAddr),
    tls: Option<DownstreamTls>,
    (endpoint, upstream_tls): (SocketAddr, Vec<(TlsWhen, Arc<UpstreamTls>)>),
) {
    let proxy = TcpProxy {
        stat_prefix: name.into(),
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
        use_original_dst: false,
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
fn with_chains(callee: &Snapshot, chains: impl FnOnce(FilterChain) -> Vec<FilterChain>) -> Snapshot {
    let mut snapshot = callee.clone();
    let mut listener = (*snapshot.listeners["virtualInbound"]).clone();
    listener.chains = chains((*listener.chains[0]).clone()).into_iter().map(Into::into).collect();
    snapshot.listeners.insert("virtualInbound".into(), listener.into());
    snapshot
}

/// The callee's snapshot with network policies.
fn forbidding(callee: &Snapshot, rbac: Vec<Arc<Rbac>>) -> Snapshot {
    with_chains(callee, |chain| vec![FilterChain { rbac, ..chain }])
}

/// The callee's snapshot for callers of this name alone.
fn for_callers_named(callee: &Snapshot, name: &str) -> Snapshot {
    let name = StringMatch::Exact { text: name.as_bytes().into(), ignore_case: false };
    with_chains(callee, |chain| {
        let tls = chain.tls.as_deref().cloned().map(|tls| DownstreamTls { client_sans: vec![name], ..tls });
        vec![FilterChain { tls: tls.map(Into::into), ..chain }]
    })
}

/// A way to an address on which the first bytes linger, as they do from a caller that is busy.
async fn lingering_way(to: SocketAddr) -> SocketAddr {
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

#[test]
fn callers_one_after_another_share_a_carrier() {
    run(|world| async move {
        for _ in 0..5 {
            world.exchange().await;
            world.idle_carriers(1).await;
        }
    });
}

#[test]
fn callers_at_once_have_carriers_of_their_own() {
    run(|world| async move {
        let (mut one, mut first) = world.pair().await;
        let (mut other, mut second) = world.pair().await;
        one.write_all(b"1").await.unwrap();
        other.write_all(b"2").await.unwrap();
        assert_eq!((first.read_u8().await.unwrap(), second.read_u8().await.unwrap()), (b'1', b'2'));
        drop((one, first, other, second));
        world.idle_carriers(2).await;
    });
}

#[test]
fn whoever_speaks_first_is_heard() {
    run(|world| async move {
        for _ in 0..2 {
            let (mut caller, mut application) = world.pair().await;
            application.write_all(b"220 ready\r\n").await.unwrap();
            let mut greeting = [0; 11];
            caller.read_exact(&mut greeting).await.unwrap();
            assert_eq!(&greeting, b"220 ready\r\n");
            drop((caller, application));
            world.idle_carriers(1).await;
        }
    });
}

#[test]
fn much_is_carried_both_ways_at_once() {
    run(|world| async move {
        let (caller, application) = world.pair().await;
        let pattern = |seed: u8| (0..3_000_000_usize).map(|i| (i % 251) as u8 ^ seed).collect::<Vec<_>>();
        let send = |stream: TcpStream, bytes: Vec<u8>| async move {
            let (mut reading, mut writing) = stream.into_split();
            let mut got = Vec::new();
            let write = async {
                writing.write_all(&bytes).await.unwrap();
                writing.shutdown().await.unwrap();
            };
            let (read, ()) = tokio::join!(reading.read_to_end(&mut got), write);
            read.unwrap();
            got
        };
        let (at_caller, at_application) = tokio::join!(send(caller, pattern(1)), send(application, pattern(2)));
        assert!(at_caller == pattern(2) && at_application == pattern(1), "bytes changed on their way");
        world.idle_carriers(1).await;
    });
}

#[test]
fn an_abort_is_no_end() {
    run(|world| async move {
        let (mut caller, mut application) = world.pair().await;
        caller.write_all(b"half a").await.unwrap();
        assert_eq!(application.read_u8().await.unwrap(), b'h');
        application.set_zero_linger().unwrap();
        drop(application);
        assert_eq!(read(&mut caller).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        world.idle_carriers(0).await;
        world.exchange().await;
    });
}

#[test]
fn an_application_that_is_gone_is_told_by_the_connection_s_end() {
    run(|mut world| async move {
        world.exchange().await;
        let address = world.application.local_addr().unwrap();
        // Somebody has the address who does not listen.
        world.application = TcpListener::bind("127.0.0.1:0").await.unwrap();
        world.refused().await;
        world.application = TcpListener::bind(address).await.unwrap();
        world.exchange().await;
    });
}

#[test]
fn a_policy_holds_for_the_next_connection_of_a_carrier() {
    run(|world| async move {
        world.exchange().await;
        world.idle_carriers(1).await;
        let nobody = Rbac { action: PolicyAction::Allow, policies: Vec::new(), shadow: false };
        world.callee_config.publish(forbidding(&world.callee, vec![Arc::new(nobody)]));
        world.refused().await;
        world.refused().await;
        world.callee_config.publish(forbidding(&world.callee, Vec::new()));
        world.exchange().await;
    });
}

#[test]
fn a_caller_that_is_slow_to_speak_may_prove_who_it_is() {
    run(|world| async move {
        let principal = Condition::Authenticated(Some(StringMatch::Exact {
            text: b"spiffe://cluster.local/ns/default/sa/a"[..].into(),
            ignore_case: false,
        }));
        let policy = Policy { name: "p".into(), permissions: vec![Condition::Any], principals: vec![principal] };
        let rbac: Vec<Arc<Rbac>> =
            vec![Rbac { action: PolicyAction::Allow, policies: vec![policy], shadow: false }.into()];
        // Mutual TLS and plain bytes, as where it is PERMISSIVE.
        world.callee_config.publish(with_chains(&world.callee, |chain| {
            let matches = ChainMatch { transport: Some(Transport::Tls), ..ChainMatch::default() };
            let plain = FilterChain { tls: None, rbac: rbac.clone(), ..chain.clone() };
            vec![FilterChain { matches, rbac, ..chain }, plain]
        }));
        let address = lingering_way(world.callee.listeners["virtualInbound"].addresses[0]).await;
        let caller = caller(free_port(), address, &world.callee);
        let way_in = caller.listeners["outbound"].addresses[0];
        serve(caller).await;
        let mut client = TcpStream::connect(way_in).await.unwrap();
        client.write_all(b"?").await.unwrap();
        let mut application = world.application.accept().await.unwrap().0;
        assert_eq!(application.read_u8().await.unwrap(), b'?');
    });
}

#[test]
fn who_would_not_be_let_in_anew_is_not_let_in_by_a_carrier() {
    run(|world| async move {
        let named = |name: &str| for_callers_named(&world.callee, name);
        world.exchange().await;
        world.idle_carriers(1).await;
        world.callee_config.publish(named("spiffe://cluster.local/ns/default/sa/other"));
        world.refused().await;
        world.callee_config.publish(named("spiffe://cluster.local/ns/default/sa/a"));
        world.exchange().await;
        world.idle_carriers(1).await;
        // Its socket stays for a moment, as it does where the listener itself was redirected to.
        world.callee_config.edit(|callee| drop(callee.listeners.remove("virtualInbound")));
        world.refused().await;
    });
}

#[test]
fn new_certificates_and_roots_end_carriers() {
    run(|world| async move {
        world.exchange().await;
        world.idle_carriers(1).await;
        // An authority that has not signed what the caller shows.
        world.callee_config.edit(|callee| callee.secrets.extend(secrets()));
        world.refused().await;
        world.callee_config.edit(|callee| callee.secrets.clone_from(&world.callee.secrets));
        world.exchange().await;
    });
}

#[test]
fn a_drain_ends_idle_carriers_and_no_connection() {
    run(|world| async move {
        world.exchange().await;
        let (mut caller, mut application) = world.pair().await;
        world.callee_drain.begin();
        world.callee_drain.close();
        caller.write_all(b"?").await.unwrap();
        assert_eq!(application.read_u8().await.unwrap(), b'?');
        drop((caller, application));
        // Who comes now is still let in, by a carrier of its own.
        world.exchange().await;
    });
}

#[test]
fn who_has_said_nothing_does_not_keep_a_proxy_from_ending() {
    run(|world| async move {
        let mut silent = TcpStream::connect(world.callee.listeners["virtualInbound"].addresses[0]).await.unwrap();
        // What comes later is taken later.
        world.exchange().await;
        world.callee_drain.begin();
        world.callee_drain.close();
        world.callee_drain.finished().await;
        assert_eq!(read(&mut silent).await.unwrap_or_default(), b"");
    });
}

/// Both sides over a pipe of so many bytes.
async fn pipe() -> (Carrier, Carrier) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let other = listener.accept().await.unwrap().0;
    (Carrier::taken(Stream::plain(one)), Carrier::taken(Stream::plain(other)))
}

/// Both sides over TLS.
async fn secure_pipe() -> (Carrier, Carrier) {
    let secrets = secrets();
    let (keys, roots) = (secrets[0].1.keys.as_ref().unwrap(), secrets[1].1.roots_pem.as_ref().unwrap());
    let certificate = KeyedCertificate::from_pem(&keys.chain_pem, &keys.key_pem, "test").unwrap();
    let server = ServerTls::new(ServerSettings {
        certificates: Certificates::Any(vec![certificate]),
        client_auth: ClientAuth::None,
        alpn: Vec::new(),
        versions: Versions::Both,
    });
    let roots = Some(Roots::from_pem(roots, "test").unwrap());
    let client = ClientTls::new(ClientSettings { roots, ..ClientSettings::default() }).unwrap();
    let (one, other) = pipe().await;
    let name = mesh_tls::server_name(Some("a.example.com"), [127, 0, 0, 1].into());
    let (server, any) = (server.unwrap(), PeerTest::Any);
    let (one, other) = tokio::join!(server.accept(one.stream, &any), client.connect(other.stream, name, &any));
    let (one, other) = (Box::new(one.unwrap().0), Box::new(other.unwrap().0));
    (Carrier::taken(Stream::tls_server(one)), Carrier::taken(Stream::tls_client(other)))
}

#[tokio::test]
async fn an_end_is_told_once_however_often_its_flush_is_asked_for() {
    let (mut one, mut other) = secure_pipe().await;
    let mut sent = 0;
    poll_fn(|cx| {
        // Until TLS has taken what the socket does not take.
        while one.outgoing.owed > 0 || Pin::new(&mut one).poll_flush(cx).is_ready() {
            let Poll::Ready(Ok(count)) = Pin::new(&mut one).poll_write(cx, &[7; 1024]) else { panic!("after {sent}") };
            sent += count;
        }
        for _ in 0..3 {
            assert!(Pin::new(&mut one).poll_shutdown(cx).is_pending());
        }
        Poll::Ready(())
    })
    .await;
    let mut got = Vec::new();
    let (ended, read) = tokio::join!(one.shutdown(), other.read_to_end(&mut got));
    assert_eq!((ended.unwrap(), read.unwrap()), ((), sent));
    assert!(other.is_quiet(), "more than one end came");
}

#[tokio::test]
async fn an_end_within_a_frame_is_an_error() {
    for cut in [&[OPEN, 0, 0, DATA, 0, 5, b'a'][..], &[OPEN, 0, 0, DATA, 0], &[OPEN, 0, 0]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut carrier = Carrier::taken(Stream::plain(listener.accept().await.unwrap().0));
        peer.write_all(cut).await.unwrap();
        drop(peer);
        carrier.opened().await.unwrap();
        let mut got = Vec::new();
        assert!(carrier.read_to_end(&mut got).await.is_err(), "{cut:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_in_any_pieces_is_read(pieces in proptest::collection::vec(1_usize..70_000, 1..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut one, mut other) = pipe().await;
            let sent: Vec<Vec<u8>> = pieces.iter().enumerate().map(|(i, count)| vec![i as u8; *count]).collect();
            let write = async {
                one.open().await.unwrap();
                for piece in &sent {
                    one.write_all(piece).await.unwrap();
                    one.flush().await.unwrap();
                }
                one.shutdown().await.unwrap();
            };
            let mut got = Vec::new();
            let read = async {
                other.opened().await.unwrap();
                other.confirm().await.unwrap();
                other.read_to_end(&mut got).await.unwrap();
            };
            tokio::join!(write, read);
            assert!(got == sent.concat());
        });
    }

    #[test]
    fn strangers_bytes_never_panic_and_never_grow(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut carrier = Carrier::taken(Stream::plain(listener.accept().await.unwrap().0));
            peer.write_all(&bytes).await.unwrap();
            drop(peer);
            let opened = carrier.opened().await.is_ok();
            assert_eq!(opened, bytes.starts_with(&[OPEN, 0, 0]));
            let mut got = Vec::new();
            let _ = carrier.read_to_end(&mut got).await;
            assert!(got.len() <= bytes.len());
        });
    }
}
