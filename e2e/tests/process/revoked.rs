//! Certificates that are revoked while the proxy runs: of a gateway's clients, and of the servers that it calls.

use std::path::Path;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use mesh_tls::{
    Certificates, ClientAuth, ClientSettings, ClientTls, KeyedCertificate, PeerTest, Roots, ServerName, ServerSettings,
    ServerTls, TlsStream, Versions,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, date_time_ymd,
};

use super::*;

const REVOKED: u64 = 7;
const GOOD: u64 = 8;
const HOST: &str = "shop.example.com";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

impl Authority {
    /// One of the world outside.
    fn new() -> Self {
        let mut params = named("an authority outside", Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// The mesh's own, by its files.
    fn of_mesh(directory: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
        let (root, key) = (read("root-cert.pem"), KeyPair::from_pem(&read("ca-key.pem")).unwrap());
        Self { issuer: Issuer::from_ca_cert_pem(&root, key).unwrap(), root }
    }

    fn issue(&self, host: &str, serial: u64) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = named(host, vec![host.to_owned()]);
        params.serial_number = Some(serial.into());
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn keyed(&self, host: &str, serial: u64) -> KeyedCertificate {
        let (chain, key) = self.issue(host, serial);
        KeyedCertificate::from_pem(chain.as_bytes(), key.as_bytes(), "test").unwrap()
    }

    fn revokes(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(4096, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn roots(&self) -> Roots {
        Roots::from_pem(self.root.as_bytes(), "test root").unwrap()
    }
}

fn named(name: &str, hosts: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A gateway that asks its clients for certificates, with this list beside their root.
fn mutual(port: u16, origin: u16, authority: &Authority, crl: &str) -> Table {
    let (chain, key) = authority.issue(HOST, 1);
    let tls = "protocol: HTTPS}, hosts: ['*'], tls: {mode: MUTUAL, credentialName: shop}}]";
    let gateway = edge(port, "http", &[origin]).replace("protocol: HTTP}, hosts: ['*']}]", tls);
    let root = &authority.root;
    let data = format!("{{tls.crt: {chain:?}, tls.key: {key:?}, ca.crt: {root:?}, ca.crl: {crl:?}}}");
    resources(&format!("{gateway}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: shop}}\nstringData: {data}\n"))
}

async fn open(authority: &Authority, serial: u64, port: u16) -> TlsStream<TcpStream> {
    let certificate = Some(authority.keyed("client.example.com", serial));
    let settings = ClientSettings { certificate, roots: Some(authority.roots()), ..ClientSettings::default() };
    let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from(HOST).unwrap();
    ClientTls::new(settings).unwrap().connect(socket, name, &PeerTest::Any).await.unwrap().0
}

/// One request on a connection that stays open; `None` if it is closed instead.
async fn ask(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok") {
        let read = within(stream.read_buf(&mut answer)).await.ok()?;
        if read == 0 {
            return None;
        }
    }
    String::from_utf8(answer).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_revoked_opens_no_more_connections() {
    let authority = Authority::new();
    let (origin, _) = origin().await;
    let mut control = Control::start(mutual(18_109, origin, &authority, &authority.revokes(&[]))).await;
    let process = Process::start(&control, [127, 0, 11, 9]);
    let mut stream = control.stream().await;
    process.ready().await;
    let mut before = open(&authority, REVOKED, 18_109).await;
    assert!(ask(&mut before).await.is_some());

    let name = "kubernetes://shop-cacert";
    let newer = mutual(18_109, origin, &authority, &authority.revokes(&[REVOKED]));
    let said = stream.push(Kind::Secret.url(), vec![(name, newer[Kind::Secret.url()][name].clone())]).await;
    assert!(said.error_detail.is_none(), "{:?}", said.error_detail);
    assert!(ask(&mut open(&authority, REVOKED, 18_109).await).await.is_none());
    assert!(ask(&mut open(&authority, GOOD, 18_109).await).await.is_some());
    assert!(ask(&mut before).await.is_some(), "what is open stays open");

    let said = stream.push(Kind::Secret.url(), vec![(name, torn(name, &authority))]).await;
    let error = said.error_detail.expect("a refusal").message;
    assert!(error.contains(name) && error.contains("validation_context.crl"), "{error}");
    assert!(ask(&mut open(&authority, REVOKED, 18_109).await).await.is_none());
    assert!(ask(&mut open(&authority, GOOD, 18_109).await).await.is_some());
    drop(before);
    process.end().await.unwrap();
}

/// A list that is none.
fn torn(name: &str, authority: &Authority) -> Any {
    let source = |text: &str| core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineBytes(text.into())),
        ..Default::default()
    };
    let context = tls::CertificateValidationContext {
        trusted_ca: Some(source(&authority.root)),
        crl: Some(source("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")),
        ..Default::default()
    };
    let secret = tls::Secret { name: name.to_owned(), r#type: Some(tls::secret::Type::ValidationContext(context)) };
    Any { type_url: Kind::Secret.url().to_owned(), value: secret.encode_to_vec() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_that_the_meshs_authority_has_revoked_is_let_in_no_more() {
    let (origin, _) = origin().await;
    let tls = "protocol: HTTPS}, hosts: ['*'], tls: {mode: ISTIO_MUTUAL}}]";
    let gateway = edge(18_111, "http", &[origin]).replace("protocol: HTTP}, hosts: ['*']}]", tls);
    let control = Control::start(resources(&gateway)).await;
    let authority = Authority::of_mesh(control.authority.path());
    let process = Process::start(&control, [127, 0, 11, 11]);
    process.ready().await;
    assert!(ask(&mut open(&authority, REVOKED, 18_111).await).await.is_some(), "without a list");

    let crl = control.authority.path().join("ca-crl.pem");
    put(&crl, &authority.revokes(&[REVOKED]));
    assert!(ask(&mut open(&authority, REVOKED, 18_111).await).await.is_none());
    assert!(ask(&mut open(&authority, GOOD, 18_111).await).await.is_some());
    put(&crl, "");
    assert!(ask(&mut open(&authority, REVOKED, 18_111).await).await.is_some(), "an empty list revokes nothing");
    put(&crl, &authority.revokes(&[REVOKED]));
    assert!(ask(&mut open(&authority, REVOKED, 18_111).await).await.is_none());
    std::fs::remove_file(&crl).unwrap();
    assert!(ask(&mut open(&authority, REVOKED, 18_111).await).await.is_some(), "nothing is revoked any more");
    process.end().await.unwrap();
}

/// An origin behind TLS that answers one request on a connection.
async fn secure_origin(certificate: KeyedCertificate) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = ServerSettings {
        certificates: Certificates::Any(vec![certificate]),
        client_auth: ClientAuth::None,
        alpn: Vec::new(),
        versions: Versions::Both,
    };
    let server = Arc::new(ServerTls::new(settings).unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let Ok((mut stream, _)) = server.accept(socket, &PeerTest::Any).await else { return };
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") && stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {}
                let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_revoked_in_a_file_is_called_no_more() {
    let authority = Authority::new();
    let origin = secure_origin(authority.keyed("origin.example.com", REVOKED)).await;
    let directory = tempfile::tempdir().unwrap();
    let (root, crl) = (directory.path().join("ca.pem"), directory.path().join("crl.pem"));
    std::fs::write(&root, &authority.root).unwrap();
    put(&crl, &authority.revokes(&[GOOD]));
    let files = format!("caCertificates: {}, caCrl: {}", root.display(), crl.display());
    let rule = format!(
        "{}---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: origin}}\nspec: {{host: origin.example.com, trafficPolicy: {{tls: {{mode: SIMPLE, {files}}}}}}}\n",
        edge(18_110, "http", &[origin])
    );
    let control = Control::start(resources(&rule)).await;
    let process = Process::start(&control, [127, 0, 11, 10]);
    process.ready().await;
    assert_eq!(call(18_110).await, ok());

    put(&crl, &authority.revokes(&[REVOKED]));
    let refused = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: TLS error";
    assert_eq!(call(18_110).await, Some((503, refused.to_owned())));
    put(&crl, "torn");
    assert_eq!(call(18_110).await, Some((503, refused.to_owned())), "what cannot be read lets nobody in");
    put(&crl, &authority.revokes(&[]));
    assert_eq!(call(18_110).await, ok());
    process.end().await.unwrap();
}

/// Replaces a file as Kubernetes does, at once.
fn put(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, path).unwrap();
}
