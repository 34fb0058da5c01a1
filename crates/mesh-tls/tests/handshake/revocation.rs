//! Certificates that were revoked.

use mesh_tls::{ClientAuth, HandshakeError, PeerTest, Revocations, Roots};
use proptest::prelude::*;

use super::common::{Authority, Ends};
use super::{client, client_trusting, server, sni};

const HOUR: i64 = 3600;
const REVOKED: u64 = 7;
const GOOD: u64 = 8;

fn lists(pem: &[String]) -> Revocations {
    Revocations::from_pem(pem.concat().as_bytes(), "test list").unwrap()
}

/// A handshake in which the server knows these lists, and what became of it there.
async fn client_shown(of: &Authority, serial: u64, root: &Authority, pem: &[String]) -> Result<(), HandshakeError> {
    let trusted = root.roots().revoking(lists(pem));
    let server = server(root.workload("reviews"), ClientAuth::Required(trusted));
    let client = client(Some(of.numbered("productpage", serial)), root);
    let ends = Ends::shake(&server, &PeerTest::Any, &client, sni(), &PeerTest::Any).await;
    ends.server.map(drop)
}

/// A handshake in which the client knows these lists, and what became of it there.
async fn server_shown(of: &Authority, serial: u64, root: &Authority, pem: &[String]) -> Result<(), HandshakeError> {
    let server = server(of.numbered("reviews", serial), ClientAuth::None);
    let client = client_trusting(None, root.roots().revoking(lists(pem)));
    let ends = Ends::shake(&server, &PeerTest::Any, &client, sni(), &PeerTest::Any).await;
    ends.client.map(drop)
}

/// Both sides must say the same.
async fn shown(of: &Authority, serial: u64, root: &Authority, pem: &[String]) -> Result<(), String> {
    let at_server = client_shown(of, serial, root, pem).await.map_err(said);
    let at_client = server_shown(of, serial, root, pem).await.map_err(said);
    assert_eq!(at_server, at_client);
    at_server
}

fn said(error: HandshakeError) -> String {
    assert!(error.is_identity(), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_another_taken() {
    let root = Authority::new("mesh");
    let pem = [root.revokes(&[REVOKED], HOUR)];
    assert!(shown(&root, REVOKED, &root, &pem).await.unwrap_err().contains("revoked"));
    assert_eq!(shown(&root, GOOD, &root, &pem).await, Ok(()));
}

#[tokio::test]
async fn a_list_that_names_nobody_refuses_nobody() {
    let root = Authority::new("mesh");
    assert_eq!(shown(&root, GOOD, &root, &[root.revokes(&[], HOUR)]).await, Ok(()));
}

#[tokio::test]
async fn every_issuer_of_a_chain_needs_a_list() {
    let root = Authority::new("mesh");
    let intermediate = root.intermediate("cluster", GOOD);
    let (above, below) = (root.revokes(&[], HOUR), intermediate.revokes(&[REVOKED], HOUR));
    for one in [&above, &below] {
        let refusal = shown(&intermediate, GOOD, &root, std::slice::from_ref(one)).await.unwrap_err();
        assert!(refusal.contains("there is no revocation list"), "{refusal}");
    }
    let both = [above, below];
    assert_eq!(shown(&intermediate, GOOD, &root, &both).await, Ok(()));
    assert!(shown(&intermediate, REVOKED, &root, &both).await.unwrap_err().contains("revoked"));
}

#[tokio::test]
async fn a_revoked_intermediate_takes_its_leaves_with_it() {
    let root = Authority::new("mesh");
    let intermediate = root.intermediate("cluster", REVOKED);
    let pem = [root.revokes(&[REVOKED], HOUR), intermediate.revokes(&[], HOUR)];
    assert!(shown(&intermediate, GOOD, &root, &pem).await.unwrap_err().contains("an issuer of it"));
}

#[tokio::test]
async fn an_expired_list_refuses_everybody() {
    let root = Authority::new("mesh");
    let refusal = shown(&root, GOOD, &root, &[root.revokes(&[], -60)]).await.unwrap_err();
    assert!(refusal.contains("has expired; a newer one is needed"), "{refusal}");
}

#[tokio::test]
async fn of_two_lists_of_one_issuer_the_newer_counts() {
    let root = Authority::new("mesh");
    let (old, new) = (root.revokes(&[], HOUR), root.revokes_since(&[REVOKED], -60, HOUR));
    for pem in [[old.clone(), new.clone()], [new, old]] {
        assert!(shown(&root, REVOKED, &root, &pem).await.unwrap_err().contains("revoked"));
    }
}

#[tokio::test]
async fn a_list_that_another_has_signed_is_not_believed() {
    let (root, impostor) = (Authority::new("mesh"), Authority::new("mesh"));
    let refusal = shown(&root, GOOD, &root, &[impostor.revokes(&[], HOUR)]).await.unwrap_err();
    assert!(refusal.contains("the revocation list of its issuer is not good"), "{refusal}");
}

#[tokio::test]
async fn a_client_without_certificate_is_not_asked_for_a_list() {
    let root = Authority::new("mesh");
    let trusted = root.roots().revoking(lists(&[root.revokes(&[REVOKED], HOUR)]));
    let server = server(root.workload("reviews"), ClientAuth::Optional(trusted));
    let ends = Ends::shake(&server, &PeerTest::Any, &client(None, &root), sni(), &PeerTest::Any).await;
    assert!(ends.server.unwrap().1.peer.is_none());
}

#[test]
fn what_is_no_list_is_said() {
    let root = Authority::new("mesh");
    let refusal = |pem: &str| Revocations::from_pem(pem.as_bytes(), "ca.crl").unwrap_err().to_string();
    assert!(refusal("").contains("ca.crl: holds no revocation list"));
    assert!(refusal("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").contains("revocation list 1"));
    let two = root.revokes(&[], HOUR) + &Authority::new("mesh").revokes(&[], HOUR);
    assert!(refusal(&two).contains("one name and two keys"));
    assert!(refusal(&" ".repeat(16 * 1024 * 1024 + 1)).contains("longer than"));
    let misplaced = Roots::from_pem(root.revokes(&[], HOUR).as_bytes(), "ca.crt").unwrap_err().to_string();
    assert!(misplaced.contains("beside the roots"), "{misplaced}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..512),
        at in 0usize..600,
        byte in any::<u8>(),
    ) {
        let _ = Revocations::from_pem(&bytes, "any");
        // A list that is nearly good goes deeper into the parsers.
        let der = list_der();
        let mut broken = der.clone();
        broken[at % der.len()] = byte;
        let _ = Revocations::from_pem(&pem_of(&broken), "broken");
        let _ = Revocations::from_pem(&pem_of(&der[..at % der.len()]), "cut");
        let _ = Revocations::from_pem(&pem_of(&bytes), "any");
    }
}

fn list_der() -> Vec<u8> {
    use rustls::pki_types::CertificateRevocationListDer;
    use rustls::pki_types::pem::PemObject;
    static LIST: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    LIST.get_or_init(|| {
        let pem = Authority::new("mesh").revokes(&[REVOKED, GOOD], HOUR);
        CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
    })
    .clone()
}

fn pem_of(der: &[u8]) -> Vec<u8> {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN X509 CRL-----\n{text}\n-----END X509 CRL-----\n").into_bytes()
}
