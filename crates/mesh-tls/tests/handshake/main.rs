//! Handshakes between two ends of this crate, over memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod common;
mod revocation;
mod stream;

use std::time::Duration;

use common::{Authority, Ends, identity};
use mesh_tls::{
    Certificates, CertificatesByName, ClientAuth, ClientSettings, ClientTls, HandshakeError, KeyedCertificate,
    PeerTest, Roots, ServerName, ServerSettings, ServerTls, Versions, server_name,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SNI: &str = "outbound_.80_._.reviews.default.svc.cluster.local";

fn server(ours: KeyedCertificate, client_auth: ClientAuth) -> ServerTls {
    let alpn = vec![b"istio-h2".to_vec(), b"h2".to_vec()];
    let certificates = Certificates::Any(vec![ours]);
    ServerTls::new(ServerSettings { certificates, client_auth, alpn, versions: Versions::Both }).unwrap()
}

fn client(ours: Option<KeyedCertificate>, roots: &Authority) -> ClientTls {
    client_trusting(ours, roots.roots())
}

fn client_trusting(ours: Option<KeyedCertificate>, roots: Roots) -> ClientTls {
    let alpn = vec![b"istio-h2".to_vec()];
    let roots = Some(roots);
    ClientTls::new(ClientSettings { certificate: ours, roots, alpn, versions: Versions::Both }).unwrap()
}

fn sni() -> ServerName<'static> {
    server_name(Some(SNI), "10.0.0.1".parse().unwrap())
}

fn expect(names: &[&str]) -> PeerTest {
    PeerTest::Identities(names.iter().map(|name| identity(name)).collect())
}

#[tokio::test]
async fn two_identities_meet_over_mutual_tls() {
    let authority = Authority::new("mesh");
    let server = server(authority.workload("reviews"), ClientAuth::Required(authority.roots()));
    let client = client(Some(authority.workload("productpage")), &authority);
    let ends = Ends::shake(&server, &PeerTest::Any, &client, sni(), &expect(&["reviews"])).await;
    let ((mut taken, at_server), (mut opened, at_client)) = (ends.server.unwrap(), ends.client.unwrap());

    let peer = at_server.peer.unwrap();
    assert_eq!(peer.identity, Some(identity("productpage")));
    assert_eq!(peer.uri_sans, [identity("productpage").to_string()]);
    assert_eq!(peer.sha256.len(), 64);
    assert_eq!(at_server.server_name.as_deref(), Some(SNI));
    assert_eq!(at_server.alpn.as_deref(), Some(b"istio-h2".as_slice()));
    assert_eq!((at_server.version, at_client.version), ("TLSv1.3", "TLSv1.3"));
    assert_eq!(at_client.peer.unwrap().identity, Some(identity("reviews")));

    opened.write_all(b"ping").await.unwrap();
    let mut got = [0; 4];
    taken.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"ping");
}

#[tokio::test]
async fn a_server_of_another_identity_is_refused_by_name() {
    let authority = Authority::new("mesh");
    let server = server(authority.workload("ratings"), ClientAuth::Required(authority.roots()));
    let client = client(Some(authority.workload("productpage")), &authority);
    let ends = Ends::shake(&server, &PeerTest::Any, &client, sni(), &expect(&["reviews", "details"])).await;
    let error = ends.client.unwrap_err();
    assert!(error.is_identity());
    let text = error.to_string();
    assert!(text.contains("sa/ratings") && text.contains("sa/reviews or spiffe"), "{text}");
}

#[tokio::test]
async fn an_empty_list_of_identities_is_met_by_nobody() {
    let authority = Authority::new("mesh");
    let server = server(authority.workload("ratings"), ClientAuth::None);
    let ends = Ends::shake(&server, &PeerTest::Any, &client(None, &authority), sni(), &expect(&[])).await;
    assert!(matches!(ends.client, Err(HandshakeError::WrongPeer { .. })));
}

#[tokio::test]
async fn another_root_is_refused_on_both_sides() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = server(ours.workload("reviews"), ClientAuth::Required(ours.roots()));
    let ends = Ends::shake(
        &server,
        &PeerTest::Any,
        &client(Some(theirs.workload("reviews")), &theirs),
        sni(),
        &expect(&["reviews"]),
    )
    .await;
    assert!(matches!(ends.client, Err(HandshakeError::Certificate(_))), "{:?}", ends.client.err());
    assert!(matches!(ends.server, Err(HandshakeError::Refused(_))), "{:?}", ends.server.err());

    let stranger = client(Some(theirs.workload("productpage")), &ours);
    let ends = Ends::shake(&server, &PeerTest::Any, &stranger, sni(), &expect(&["reviews"])).await;
    let error = ends.server.unwrap_err();
    assert!(error.to_string().contains("not signed by any root"), "{error}");
}

#[tokio::test]
async fn expired_and_not_yet_valid_certificates_are_refused() {
    let authority = Authority::new("mesh");
    let hour = Duration::from_secs(3600);
    let past = authority.workload_between("reviews", -2 * 3600, -3600);
    let future = authority.workload_between("reviews", 3600, 7200);
    for (certificate, words) in [(past, "expired"), (future, "compare the clocks")] {
        let server = server(certificate, ClientAuth::None);
        let ends = Ends::shake(&server, &PeerTest::Any, &client(None, &authority), sni(), &PeerTest::Any).await;
        let error = ends.client.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(authority.workload_between("x", 0, 3600).validity().remaining(common::now() + 2 * hour), Duration::ZERO);
}

#[tokio::test]
async fn a_client_without_certificate_is_let_in_only_where_that_is_optional() {
    let authority = Authority::new("mesh");
    let nobody = client(None, &authority);
    let optional = server(authority.workload("reviews"), ClientAuth::Optional(authority.roots()));
    let ends = Ends::shake(&optional, &expect(&["productpage"]), &nobody, sni(), &PeerTest::Any).await;
    assert!(ends.server.unwrap().1.peer.is_none());

    let required = server(authority.workload("reviews"), ClientAuth::Required(authority.roots()));
    let ends = Ends::shake(&required, &PeerTest::Any, &nobody, sni(), &PeerTest::Any).await;
    assert!(ends.server.is_err());
}

#[tokio::test]
async fn a_client_that_fails_the_servers_test_is_refused() {
    let authority = Authority::new("mesh");
    let server = server(authority.workload("reviews"), ClientAuth::Required(authority.roots()));
    let client = client(Some(authority.workload("productpage")), &authority);
    let other_domain = PeerTest::Sans(
        std::sync::Arc::new(|peer| peer.uri_sans.iter().any(|uri| uri.starts_with("spiffe://other/"))),
        "spiffe://other/*".into(),
    );
    let ends = Ends::shake(&server, &other_domain, &client, sni(), &PeerTest::Any).await;
    let error = ends.server.unwrap_err().to_string();
    assert!(error.contains("expected spiffe://other/*"), "{error}");
}

#[tokio::test]
async fn resumed_sessions_keep_the_identity_and_are_tested_again() {
    let authority = Authority::new("mesh");
    let server = server(authority.workload("reviews"), ClientAuth::Required(authority.roots()));
    let client = client(Some(authority.workload("productpage")), &authority);
    let first = Ends::shake(&server, &PeerTest::Any, &client, sni(), &expect(&["reviews"])).await;
    first.exchange().await;

    let second = Ends::shake(&server, &PeerTest::Any, &client, sni(), &expect(&["reviews"])).await;
    let (at_server, at_client) = (&second.server.as_ref().unwrap().1, &second.client.as_ref().unwrap().1);
    assert!(at_server.resumed && at_client.resumed, "the second handshake was not resumed");
    assert_eq!(at_server.peer.as_ref().unwrap().identity, Some(identity("productpage")));
    second.exchange().await;

    let third = Ends::shake(&server, &expect(&["nobody"]), &client, sni(), &PeerTest::Any).await;
    assert!(third.client.unwrap().1.resumed);
    assert!(matches!(third.server, Err(HandshakeError::WrongPeer { .. })));
    let fourth = Ends::shake(&server, &PeerTest::Any, &client, sni(), &expect(&["ratings"])).await;
    assert!(matches!(fourth.client, Err(HandshakeError::WrongPeer { .. })));
}

#[tokio::test]
async fn many_connections_at_once_are_resumed() {
    let authority = Authority::new("mesh");
    let server = server(authority.workload("reviews"), ClientAuth::Required(authority.roots()));
    let client = client(Some(authority.workload("productpage")), &authority);
    let mut open = Vec::new();
    for _ in 0..40 {
        open.push(Ends::shake(&server, &PeerTest::Any, &client, sni(), &PeerTest::Any).await);
    }
    for ends in open {
        ends.exchange().await;
    }
    for round in 0..40 {
        let ends = Ends::shake(&server, &PeerTest::Any, &client, sni(), &PeerTest::Any).await;
        assert!(ends.client.as_ref().unwrap().1.resumed, "connection {round}, without tickets of its own");
        std::mem::forget(ends);
    }
}

#[tokio::test]
async fn a_new_configuration_forgets_sessions() {
    let authority = Authority::new("mesh");
    let client = client(Some(authority.workload("productpage")), &authority);
    for _ in 0..2 {
        let server = server(authority.workload("reviews"), ClientAuth::Required(authority.roots()));
        let ends = Ends::shake(&server, &PeerTest::Any, &client, sni(), &expect(&["reviews"])).await;
        assert!(!ends.server.as_ref().unwrap().1.resumed);
        ends.exchange().await;
    }
}

#[tokio::test]
async fn a_resumed_session_does_not_outlive_the_peers_certificate() {
    let authority = Authority::new("mesh");
    let server = server(authority.workload("reviews"), ClientAuth::Required(authority.roots()));
    let client = client(Some(authority.workload_between("productpage", -3600, 2)), &authority);
    let first = Ends::shake(&server, &PeerTest::Any, &client, sni(), &PeerTest::Any).await;
    let until = first.server.as_ref().unwrap().1.peer.as_ref().unwrap().validity.not_after;
    first.exchange().await;
    while common::now() <= until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let second = Ends::shake(&server, &PeerTest::Any, &client, sni(), &PeerTest::Any).await;
    assert!(second.client.unwrap().1.resumed);
    assert!(matches!(second.server, Err(HandshakeError::Expired)), "{:?}", second.server.err());
}

#[tokio::test]
async fn certificates_are_chosen_by_server_name() {
    let authority = Authority::new("public");
    let mut names = CertificatesByName::default();
    names.add("a.example.com", authority.server("a.example.com"));
    names.add("*.example.com", authority.server("*.example.com"));
    let settings = ServerSettings {
        certificates: Certificates::ByName(names),
        client_auth: ClientAuth::None,
        alpn: vec![],
        versions: Versions::Both,
    };
    let server = ServerTls::new(settings).unwrap();
    let roots = Some(authority.roots());
    let client = ClientTls::new(ClientSettings { roots, ..ClientSettings::default() }).unwrap();
    let ask = async |name: &'static str| {
        let name = ServerName::try_from(name).unwrap();
        Ends::shake(&server, &PeerTest::Any, &client, name.clone(), &PeerTest::Name(name)).await
    };
    assert_eq!(ask("a.example.com").await.client.unwrap().1.peer.unwrap().dns_sans, ["a.example.com"]);
    assert_eq!(ask("B.Example.com").await.client.unwrap().1.peer.unwrap().dns_sans, ["*.example.com"]);
    assert!(ask("elsewhere.org").await.server.is_err());
}

#[tokio::test]
async fn a_dns_name_that_is_not_in_the_certificate_is_refused() {
    let authority = Authority::new("public");
    let server = server(authority.server("a.example.com"), ClientAuth::None);
    let other = ServerName::try_from("b.example.com").unwrap();
    let client = client(None, &authority);
    let ends = Ends::shake(&server, &PeerTest::Any, &client, other.clone(), &PeerTest::Name(other)).await;
    assert!(matches!(ends.client, Err(HandshakeError::WrongPeer { .. })));
}

#[tokio::test]
async fn a_client_certificate_does_not_serve() {
    let authority = Authority::new("mesh");
    let server = server(authority.client_only("reviews"), ClientAuth::None);
    let ends = Ends::shake(&server, &PeerTest::Any, &client(None, &authority), sni(), &PeerTest::Any).await;
    assert!(matches!(ends.client, Err(HandshakeError::Certificate(_))), "{:?}", ends.client.err());
}

#[tokio::test]
async fn the_cheapest_suite_is_spoken_whatever_a_caller_prefers() {
    let authority = Authority::new("mesh");
    let server = server(authority.server("shop.example.com"), ClientAuth::None);
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    assert_eq!(provider.cipher_suites[0].suite(), rustls::CipherSuite::TLS13_AES_256_GCM_SHA384, "what is preferred");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.root()).unwrap();
    let stranger = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(stranger));
    let connecting = connector.connect("shop.example.com".try_into().unwrap(), far);
    let (taken, opened) = tokio::join!(server.accept(near, &PeerTest::Any), connecting);
    taken.unwrap();
    let suite = opened.unwrap().get_ref().1.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
}

#[tokio::test]
async fn versions_are_held_to() {
    let authority = Authority::new("mesh");
    let new_only = ServerSettings {
        certificates: Certificates::Any(vec![authority.workload("reviews")]),
        client_auth: ClientAuth::None,
        alpn: vec![],
        versions: Versions::Tls13Only,
    };
    let server = ServerTls::new(new_only).unwrap();
    let with = |versions| {
        let roots = Some(authority.roots());
        ClientTls::new(ClientSettings { roots, versions, ..ClientSettings::default() }).unwrap()
    };
    let old = Ends::shake(&server, &PeerTest::Any, &with(Versions::Tls12Only), sni(), &PeerTest::Any).await;
    assert!(old.client.is_err() && old.server.is_err());
    let both = Ends::shake(&server, &PeerTest::Any, &with(Versions::Both), sni(), &PeerTest::Any).await;
    assert_eq!(both.client.unwrap().1.version, "TLSv1.3");
    assert!(Versions::from_bounds(true, true).is_err());
}
