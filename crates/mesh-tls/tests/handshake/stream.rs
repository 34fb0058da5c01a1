//! Bytes over connections whose other end is rustls with its own records, through tokio-rustls.

use std::io::ErrorKind;
use std::sync::Arc;

use mesh_tls::{
    Certificates, ClientAuth, ClientSettings, ClientTls, PeerTest, ServerSettings, ServerTls, TlsStream, Versions,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{CipherSuite, ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::common::Authority;

const NAME: &str = "shop.example.com";
/// What fits into the wire between two ends; less than a record, so that every write is cut.
const WIRE: usize = 5000;

const SUITES: [CipherSuite; 5] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
];

fn provider(suite: CipherSuite) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|known| known.suite() == suite);
    provider.into()
}

fn our_server(authority: &Authority) -> ServerTls {
    let certificates = Certificates::Any(vec![authority.server(NAME)]);
    let settings =
        ServerSettings { certificates, client_auth: ClientAuth::None, alpn: vec![], versions: Versions::Both };
    ServerTls::new(settings).unwrap()
}

fn our_client(authority: &Authority) -> ClientTls {
    ClientTls::new(ClientSettings { roots: Some(authority.roots()), ..ClientSettings::default() }).unwrap()
}

fn their_client(authority: &Authority, suite: CipherSuite) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root()).unwrap();
    ClientConfig::builder_with_provider(provider(suite))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn with_their_client(
    suite: CipherSuite,
) -> (TlsStream<DuplexStream>, tokio_rustls::client::TlsStream<DuplexStream>) {
    let authority = Authority::new("public");
    let config = their_client(&authority, suite);
    let (near, far) = duplex(WIRE);
    let connector = TlsConnector::from(Arc::new(config));
    let (server, any) = (our_server(&authority), PeerTest::Any);
    let (ours, theirs) = tokio::join!(server.accept(near, &any), connector.connect(NAME.try_into().unwrap(), far));
    let (ours, session) = ours.unwrap();
    assert_eq!(session.server_name.as_deref(), Some(NAME));
    (ours, theirs.unwrap())
}

async fn with_their_server(
    suite: CipherSuite,
) -> (TlsStream<DuplexStream>, tokio_rustls::server::TlsStream<DuplexStream>) {
    let authority = Authority::new("public");
    let (chain, key) = authority.server_pem(NAME);
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().unwrap();
    let config = ServerConfig::builder_with_provider(provider(suite))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
        .unwrap();
    let (near, far) = duplex(WIRE);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (client, any) = (our_client(&authority), PeerTest::Any);
    let (ours, theirs) = tokio::join!(client.connect(near, NAME.try_into().unwrap(), &any), acceptor.accept(far));
    (ours.unwrap().0, theirs.unwrap())
}

/// Bytes that tell where they belong.
fn text(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(|number| (number / 4).to_le_bytes()[number as usize % 4..][..1].to_vec()).collect()
}

const LENGTHS: [usize; 8] = [1, 2, 100, 16_383, 16_384, 16_385, 70_000, 300_000];

/// Sends pieces of all sizes and the end, while it reads the other side's with so much room at a time.
async fn one_side(end: impl AsyncRead + AsyncWrite, room: usize) -> Vec<u8> {
    let (mut reading, mut writing) = tokio::io::split(end);
    let write = async {
        for length in LENGTHS {
            writing.write_all(&text(length)).await.unwrap();
        }
        writing.shutdown().await.unwrap();
    };
    let read = async {
        let (mut all, mut block) = (Vec::new(), vec![0; room]);
        loop {
            match reading.read(&mut block).await.unwrap() {
                0 => break all,
                count => all.extend_from_slice(&block[..count]),
            }
        }
    };
    tokio::join!(write, read).1
}

async fn talk(ours: impl AsyncRead + AsyncWrite, theirs: impl AsyncRead + AsyncWrite) {
    let (ours, theirs) = tokio::join!(one_side(ours, 20_000), one_side(theirs, 3000));
    let sent: Vec<u8> = LENGTHS.into_iter().flat_map(text).collect();
    assert!(ours == sent && theirs == sent, "{} and {} of {}", ours.len(), theirs.len(), sent.len());
}

#[tokio::test]
async fn bytes_pass_in_every_suite_on_both_sides() {
    for suite in SUITES {
        let (ours, theirs) = with_their_client(suite).await;
        assert_eq!(theirs.get_ref().1.negotiated_cipher_suite().unwrap().suite(), suite);
        talk(ours, theirs).await;
        let (ours, theirs) = with_their_server(suite).await;
        assert_eq!(theirs.get_ref().1.negotiated_cipher_suite().unwrap().suite(), suite);
        talk(ours, theirs).await;
    }
}

#[tokio::test]
async fn the_first_key_exchange_is_the_one_that_stands_against_quantum_computers() {
    let (_ours, theirs) = with_their_client(CipherSuite::TLS13_AES_128_GCM_SHA256).await;
    let group = theirs.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn a_peer_may_renew_its_keys_and_ask_for_ours() {
    let (mut ours, mut theirs) = with_their_client(CipherSuite::TLS13_AES_128_GCM_SHA256).await;
    for round in 0..100_u8 {
        theirs.get_mut().1.refresh_traffic_keys().unwrap();
        theirs.write_all(&[round; 300]).await.unwrap();
        theirs.flush().await.unwrap();
        let mut got = [0; 300];
        ours.read_exact(&mut got).await.unwrap();
        assert_eq!(got, [round; 300]);
        ours.write_all(&got).await.unwrap();
        ours.flush().await.unwrap();
        theirs.read_exact(&mut got).await.unwrap();
        assert_eq!(got, [round; 300]);
    }
}

#[tokio::test]
async fn an_end_that_tls_does_not_tell_of_is_an_error() {
    for suite in SUITES {
        let (mut ours, mut theirs) = with_their_client(suite).await;
        theirs.write_all(b"not all").await.unwrap();
        theirs.flush().await.unwrap();
        drop(theirs);
        let mut got = Vec::new();
        let error = ours.read_to_end(&mut got).await.unwrap_err();
        assert_eq!((got.as_slice(), error.kind()), (&b"not all"[..], ErrorKind::UnexpectedEof), "{suite:?}");
    }
}

#[tokio::test]
async fn a_record_that_was_changed_on_its_way_is_refused_and_the_peer_is_told() {
    for suite in SUITES {
        let (mut ours, mut theirs) = with_their_client(suite).await;
        let (wire, session) = theirs.get_mut();
        std::io::Write::write_all(&mut session.writer(), b"to be changed").unwrap();
        let mut record = Vec::new();
        session.write_tls(&mut record).unwrap();
        *record.last_mut().unwrap() ^= 1;
        wire.write_all(&record).await.unwrap();
        let error = ours.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains("decrypt"), "{error}");
        assert_eq!(ours.write(b"!").await.unwrap_err().kind(), ErrorKind::BrokenPipe, "nothing goes after it");
        let told = theirs.read_u8().await.unwrap_err().to_string();
        assert!(told.contains("BadRecordMac"), "{told}");
    }
}

/// Gives a client what came, and takes what was said.
fn feed(client: &mut rustls::ClientConnection, mut bytes: &[u8], said: &mut Vec<u8>) {
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        client.process_new_packets().unwrap();
        // That there is no more yet is told as an error.
        let _ = std::io::Read::read_to_end(&mut client.reader(), said);
    }
}

#[tokio::test]
async fn first_bytes_that_come_with_the_end_of_a_handshake_are_read() {
    let authority = Authority::new("public");
    let config = their_client(&authority, SUITES[0]);
    for (bytes, closes) in [(&b"first"[..], false), (b"first and last", true)] {
        let mut client = rustls::ClientConnection::new(Arc::new(config.clone()), NAME.try_into().unwrap()).unwrap();
        let (near, mut far) = duplex(64 * 1024);
        let server = our_server(&authority);
        let theirs = async {
            let mut flight = Vec::new();
            client.write_tls(&mut flight).unwrap();
            far.write_all(&flight).await.unwrap();
            while client.is_handshaking() {
                let mut block = [0; 4096];
                let count = far.read(&mut block).await.unwrap();
                feed(&mut client, &block[..count], &mut Vec::new());
            }
            std::io::Write::write_all(&mut client.writer(), bytes).unwrap();
            if closes {
                client.send_close_notify();
            }
            flight.clear();
            while client.wants_write() {
                client.write_tls(&mut flight).unwrap();
            }
            far.write_all(&flight).await.unwrap();
        };
        let any = PeerTest::Any;
        let (ours, ()) = tokio::join!(server.accept(near, &any), theirs);
        let mut ours = ours.unwrap().0;
        let mut got = vec![0; bytes.len()];
        ours.read_exact(&mut got).await.unwrap();
        assert_eq!(got, bytes);
        ours.write_all(&[7; 20_000]).await.unwrap();
        ours.flush().await.unwrap();
        let mut all = Vec::new();
        while all.len() < 20_000 {
            let mut block = [0; 4096];
            let count = far.read(&mut block).await.unwrap();
            feed(&mut client, &block[..count], &mut all);
        }
        assert_eq!(all, [7; 20_000]);
        if closes {
            assert_eq!(ours.read(&mut got).await.unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn a_hello_in_ever_more_pieces_is_not_waited_for() {
    let server = our_server(&Authority::new("public"));
    for name_is_known in [false, true] {
        let (near, mut far) = duplex(1 << 20);
        // A ClientHello of 65,535 bytes, one in each record.
        far.write_all(&[22, 3, 1, 0, 4, 1, 0, 0xff, 0xff]).await.unwrap();
        for _ in 0..16_000 {
            far.write_all(&[22, 3, 1, 0, 1, 0]).await.unwrap();
        }
        let any = PeerTest::Any;
        let refused =
            if name_is_known { server.accept_named(near, None, &any).await } else { server.accept(near, &any).await };
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("TooLarge") || error.contains("full"), "{error}");
    }
}

#[tokio::test]
async fn a_name_is_found_in_a_hello_of_any_length_and_in_any_pieces() {
    let authority = Authority::new("public");
    let mut config = their_client(&authority, SUITES[0]);
    // Some 25 KB, which are two records.
    config.alpn_protocols = (0..100_u8).map(|number| vec![number; 250]).collect();
    let (near, far) = duplex(64 * 1024);
    let connector = TlsConnector::from(Arc::new(config));
    let (server, any) = (our_server(&authority), PeerTest::Any);
    let (ours, theirs) = tokio::join!(server.accept(near, &any), connector.connect(NAME.try_into().unwrap(), far));
    theirs.unwrap();
    assert_eq!(ours.unwrap().1.server_name.as_deref(), Some(NAME));
}

#[tokio::test]
async fn what_cannot_be_a_record_is_refused_before_it_is_read() {
    let (mut ours, mut theirs) = with_their_client(CipherSuite::TLS13_AES_128_GCM_SHA256).await;
    theirs.get_mut().0.write_all(&[0; 5]).await.unwrap();
    let error = ours.read_u8().await.unwrap_err();
    assert!(error.to_string().contains("unexpected message"), "{error}");
    let told = theirs.read_u8().await.unwrap_err().to_string();
    assert!(told.contains("UnexpectedMessage"), "{told}");
    let (ours, mut theirs) = with_their_client(CipherSuite::TLS13_AES_128_GCM_SHA256).await;
    let (mut reading, _writing) = tokio::io::split(ours);
    theirs.get_mut().0.write_all(&[23, 3, 3, 0xff, 0xff]).await.unwrap();
    reading.read_u8().await.unwrap_err();
    let told = theirs.read_u8().await.unwrap_err().to_string();
    assert!(told.contains("RecordOverflow"), "{told}");
}
