//! Both ends over memory, with what no rustls would send.

use super::*;
use crate::stream::library::{Library, Step};
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;

use crate::provider::provider;
use crate::stream::Layer;

/// Two ends before their handshake.
fn strangers(tickets: usize) -> (Library, Library) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    server.enable_secret_extraction = true;
    server.send_tls13_tickets = tickets;
    let client = Library::client(Arc::new(client), "a.example".try_into().unwrap()).unwrap();
    (client, Library::server(Arc::new(server)).unwrap())
}

/// Goes on until the handshake is done, or something has to come.
fn shake(library: &mut Library, incoming: &mut Window, outgoing: &mut Window) {
    while !library.has_shaken() && matches!(library.step(incoming, outgoing), Ok(Step::Again)) {}
}

fn records(library: Library, incoming: &mut Window) -> Box<Records> {
    match library.into_layer(incoming) {
        Ok(Layer::Records(records)) => records,
        _ => panic!("no records"),
    }
}

/// Two ends whose handshake is done, and whose tickets were taken.
fn pair() -> (Box<Records>, Box<Records>) {
    let (mut client, mut server) = strangers(2);
    let (mut there, mut back) = (Window::default(), Window::default());
    while !(client.has_shaken() && server.has_shaken()) {
        shake(&mut client, &mut back, &mut there);
        shake(&mut server, &mut there, &mut back);
    }
    let (mut client, server) = (records(client, &mut back), records(server, &mut there));
    assert!(!back.is_empty(), "tickets are still to be taken");
    assert_eq!(read(&mut client, &mut back, 100), Ok(vec![]));
    assert!(back.is_empty());
    (client, server)
}

/// Reads with so much room at a time until more would have to come.
fn read(records: &mut Records, incoming: &mut Window, room: usize) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    let mut block = vec![0; room];
    loop {
        let mut buf = ReadBuf::new(&mut block);
        match records.open(incoming, &mut buf)? {
            Opened::Some => all.extend_from_slice(buf.filled()),
            Opened::Nothing | Opened::Ended => return Ok(all),
        }
    }
}

/// What the other end says to a message of this kind.
fn said(kind: u8, contents: &[&[u8]]) -> Result<Vec<u8>, Error> {
    let (mut client, mut server) = pair();
    let mut wire = Window::default();
    for content in contents {
        client.tell(&mut wire, kind, content).unwrap();
    }
    client.seal(&mut wire, &[IoSlice::new(b"after")]).unwrap();
    read(&mut server, &mut wire, 100)
}

/// Without tickets nothing is sent between the handshake and the client's first bytes, and rustls opens both.
#[test]
fn what_rustls_opened_already_is_read_first() {
    for closes in [false, true] {
        let (mut client, mut server) = strangers(0);
        let (mut there, mut back) = (Window::default(), Window::default());
        while !client.has_shaken() {
            shake(&mut server, &mut there, &mut back);
            shake(&mut client, &mut back, &mut there);
        }
        let mut client = records(client, &mut back);
        client.seal(&mut there, &[IoSlice::new(b"first, ")]).unwrap();
        client.seal(&mut there, &[IoSlice::new(b"second")]).unwrap();
        if closes {
            client.close(&mut there).unwrap();
        }
        shake(&mut server, &mut there, &mut back);
        let mut server = records(server, &mut there);
        assert!(server.plain > 0, "rustls left it to us: this tests nothing");
        assert_eq!(read(&mut server, &mut there, 5), Ok(b"first, second".to_vec()));
        assert_eq!(server.ended, closes);
        client.seal(&mut there, &[IoSlice::new(b"more")]).unwrap();
        assert_eq!(read(&mut server, &mut there, 5), Ok(if closes { vec![] } else { b"more".to_vec() }));
    }
}

#[test]
fn keys_are_renewed_before_they_have_sealed_too_much() {
    let (mut client, mut server) = pair();
    client.most_sealed = 3;
    let mut wire = Window::default();
    for round in 0..20_u8 {
        let before = client.sealing.number();
        client.seal(&mut wire, &[IoSlice::new(&[round; 100])]).unwrap();
        let (after, renewed) = (client.sealing.number(), client.sealing.number() <= before);
        assert!(after <= 3 && (!renewed || before < 3), "{before} and {after}, with the one that renews");
        assert_eq!(read(&mut server, &mut wire, 1000), Ok(vec![round; 100]));
    }
    assert!(server.kept.most_sealed() > 1 << 20, "the suite's own bound");
}

#[test]
fn what_has_no_place_after_a_handshake_is_refused() {
    let misbehaved = |reason: PeerMisbehaved| Err(Error::PeerMisbehaved(reason));
    assert_eq!(said(ALERT, &[&[1, CLOSE_NOTIFY]]), Ok(vec![]), "nothing is read after the end");
    assert_eq!(said(ALERT, &[&[1, USER_CANCELED]]), Ok(b"after".to_vec()));
    assert_eq!(said(ALERT, &[&[1, 40]]), Err(Error::AlertReceived(AlertDescription::HandshakeFailure)));
    assert!(matches!(said(ALERT, &[&[1]]), Err(Error::InvalidMessage(_))));
    assert!(matches!(said(20, &[&[1]]), Err(Error::InappropriateMessage { .. })), "change of cipher");
    assert!(matches!(said(24, &[&[1, 0]]), Err(Error::InappropriateMessage { .. })), "heartbeat");
    assert!(matches!(said(HANDSHAKE, &[&[]]), Err(Error::InvalidMessage(_))));
    assert!(matches!(said(HANDSHAKE, &[&[1, 0, 0, 0]]), Err(Error::InappropriateHandshakeMessage { .. })), "hello");
    let ticket = said(HANDSHAKE, &[&[NEW_SESSION_TICKET, 0, 0, 1, 0]]);
    assert!(matches!(ticket, Err(Error::InappropriateHandshakeMessage { .. })), "a client gives no tickets");
    assert!(matches!(said(HANDSHAKE, &[&[KEY_UPDATE, 0, 0, 1, 2]]), Err(Error::InvalidMessage(_))));
    assert!(matches!(said(HANDSHAKE, &[&[KEY_UPDATE, 0, 0, 2, 0]]), Err(Error::InvalidMessage(_))));
    let two = [KEY_UPDATE, 0, 0, 1, 0, KEY_UPDATE, 0, 0, 1, 0];
    assert_eq!(said(HANDSHAKE, &[&two]), misbehaved(PeerMisbehaved::KeyEpochWithPendingFragment));
    let half = said(HANDSHAKE, &[&[KEY_UPDATE, 0]]);
    assert_eq!(half, misbehaved(PeerMisbehaved::MessageInterleavedWithHandshakeMessage));
    assert_eq!(said(0, &[&[]]), misbehaved(PeerMisbehaved::IllegalTlsInnerPlaintext), "nothing but padding");
    assert_eq!(said(DATA, &[&[]]), Ok(b"after".to_vec()), "nothing at all is fine");
    assert_eq!(said(0, &[&[7, DATA, 0, 0]]), Ok(b"\x07after".to_vec()), "padding");
}

#[test]
fn a_peer_that_only_sends_what_carries_nothing_is_refused() {
    type Silence = fn(&mut Records, &mut Window) -> Result<(), Error>;
    let empty: Silence = |client, wire| client.tell(wire, DATA, &[]);
    let canceled: Silence = |client, wire| client.tell(wire, ALERT, &[WARNING, USER_CANCELED]);
    for (silence, reason) in [
        (Records::renew as Silence, PeerMisbehaved::TooManyKeyUpdateRequests),
        (empty, PeerMisbehaved::TooManyEmptyFragments),
        (canceled, PeerMisbehaved::TooManyWarningAlertsReceived),
    ] {
        let (mut client, mut server) = pair();
        let mut wire = Window::default();
        for _ in 0..2 {
            for _ in 0..MOST_SILENT {
                silence(&mut client, &mut wire).unwrap();
            }
            assert_eq!(read(&mut server, &mut wire, 100), Ok(vec![]));
            client.seal(&mut wire, &[IoSlice::new(b"said")]).unwrap();
            assert_eq!(read(&mut server, &mut wire, 100), Ok(b"said".to_vec()), "{reason:?} counts from here");
        }
        for _ in 0..=MOST_SILENT {
            silence(&mut client, &mut wire).unwrap();
        }
        assert_eq!(read(&mut server, &mut wire, 100), Err(reason.into()));
    }
}

#[test]
fn records_of_no_good_length_are_refused() {
    for (head, error) in [
        ([DATA, 3, 3, 0, 16], Error::DecryptError),
        ([DATA, 3, 3, 0x41, 1], Error::PeerSentOversizedRecord),
        ([ALERT, 3, 3, 0, 2], inappropriate(ALERT)),
    ] {
        let (_, mut server) = pair();
        let mut wire = Window::default();
        wire.put(&head);
        assert_eq!(read(&mut server, &mut wire, 100), Err(error));
    }
    let (mut client, mut server) = pair();
    let mut wire = Window::default();
    client.tell(&mut wire, DATA, &[1; FRAGMENT + 1]).unwrap();
    assert_eq!(read(&mut server, &mut wire, 100), Err(Error::PeerSentOversizedRecord));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is done to sealed bytes, what is read is the beginning of what was sent, and it never panics.
    #[test]
    fn only_what_was_sent_is_read(
        sizes in proptest::collection::vec(1_usize..40_000, 1..6),
        room in 1_usize..50_000,
        cut in 1_usize..70_000,
        change in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let (mut client, mut server) = pair();
        let (mut wire, mut sent) = (Vec::new(), Vec::new());
        for (number, size) in sizes.into_iter().enumerate() {
            let bytes = vec![number as u8; size];
            let (first, second) = bytes.split_at(size / 3);
            let mut outgoing = Window::default();
            let count = client.seal(&mut outgoing, &[IoSlice::new(first), IoSlice::new(second)]).unwrap();
            prop_assert_eq!(count, size);
            wire.extend_from_slice(outgoing.bytes());
            sent.extend(bytes);
        }
        let changed = change.is_some_and(|(at, by)| {
            let at = at.index(wire.len());
            wire[at] ^= by;
            by != 0
        });
        let mut incoming = Window::default();
        let mut got = Vec::new();
        let mut failed = false;
        for part in wire.chunks(cut) {
            incoming.put(part);
            match read(&mut server, &mut incoming, room) {
                Ok(bytes) => got.extend(bytes),
                Err(_) => failed = true,
            }
        }
        prop_assert!(sent.starts_with(&got));
        if changed {
            prop_assert!(failed || got.len() < sent.len(), "a change went by");
        } else {
            prop_assert!(!failed && got == sent);
        }
    }
}
