mod world;

use std::sync::Arc;

use mesh_tls::{
    Certificates, ClientAuth, ClientSettings, KeyedCertificate, PeerTest, Roots, ServerSettings, ServerTls, Versions,
};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use self::world::*;
use super::*;
use crate::model::*;

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
        start_proxy(caller).await;
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
    (Carrier::taken(Stream::tls(one)), Carrier::taken(Stream::tls(other)))
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
