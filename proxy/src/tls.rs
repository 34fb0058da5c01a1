//! TLS settings made ready: each combination of a setting and the secrets and files that it names is built once a worker,
//! and anew when one of them changes. Sessions that are open are not touched.

mod source;

use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;
use mesh_tls::{
    Certificates, CertificatesByName, ClientAuth, ClientSettings, ClientTls, KeyedCertificate, PeerCertificate,
    PeerTest, Revocations, Roots, ServerSettings, ServerTls, Versions,
};
use mesh_types::Name;

use crate::carrier;
use crate::connect::Use;
use crate::model::{DownstreamTls, SecretName, Snapshot, StringMatch, UpstreamTls};
use source::Source;

/// A worker's TLS configurations.
#[derive(Default)]
pub struct Secrets {
    clients: RefCell<HashMap<ClientKey, Built<ClientTls>>>,
    servers: RefCell<HashMap<ServerKey, Built<ServerTls>>>,
    authority_crl: Option<Name>,
}

#[derive(PartialEq, Eq, Hash)]
struct ClientKey {
    certificate: Option<SecretName>,
    roots: Option<SecretName>,
    crl: Option<Name>,
    alpn: Vec<Box<str>>,
}

#[derive(PartialEq, Eq, Hash)]
struct ServerKey {
    certificates: Vec<SecretName>,
    client_roots: Option<SecretName>,
    client_crl: Option<Name>,
    required: bool,
    alpn: Vec<Box<str>>,
    tls13_only: bool,
    tls12_only: bool,
}

/// What was built, and from what.
struct Built<T> {
    from: Vec<Source>,
    tls: T,
}

impl Secrets {
    /// `authority_crl` is the file of revocation lists that count for the mesh's own roots while it is there.
    pub fn new(authority_crl: Option<&Path>) -> Self {
        let authority_crl = authority_crl.map(|file| file.to_string_lossy().into());
        Self { authority_crl, ..Self::default() }
    }

    /// The file of revocation lists that counts for roots: the configuration's, or for the mesh's own its authority's.
    fn crl(&self, roots: Option<&SecretName>, said: Option<&Name>) -> Option<Name> {
        let of_mesh = roots == Some(&SecretName::MeshRoots);
        said.or_else(|| self.authority_crl.as_ref().filter(|file| of_mesh && revokes(file))).cloned()
    }

    /// How to open TLS to an endpoint.
    ///
    /// # Errors
    /// In words, if a secret or file is missing or does not parse.
    pub fn client(&self, snapshot: &Snapshot, settings: &UpstreamTls, carries: Use) -> Result<ClientTls, String> {
        let crl = self.crl(settings.roots.as_ref(), settings.crl.as_ref());
        let from = sources(snapshot, settings.certificate.iter().chain(&settings.roots), crl.as_deref());
        let key = ClientKey {
            certificate: settings.certificate.clone(),
            roots: settings.roots.clone(),
            crl,
            alpn: alpn_of(settings, carries),
        };
        get_or_build(&self.clients, key, from, |key| {
            let certificate = key.certificate.as_ref().map(|name| certificate(snapshot, name)).transpose()?;
            let roots = key.roots.as_ref().map(|name| roots(snapshot, name, key.crl.as_deref())).transpose()?;
            let alpn = wire_alpn(&key.alpn);
            ClientTls::new(ClientSettings { certificate, roots, alpn, versions: Versions::Both })
                .map_err(|error| error.to_string())
        })
    }

    /// How to take TLS from callers, for a chain that carries `bytes` or one that reads HTTP.
    ///
    /// # Errors
    /// In words, if a secret or file is missing or does not parse.
    pub fn server(&self, snapshot: &Snapshot, settings: &DownstreamTls, bytes: bool) -> Result<ServerTls, String> {
        let names = settings.certificates.iter().chain(&settings.client_roots);
        let client_crl = self.crl(settings.client_roots.as_ref(), settings.client_crl.as_ref());
        let from = sources(snapshot, names, client_crl.as_deref());
        let key = ServerKey {
            certificates: settings.certificates.clone(),
            client_roots: settings.client_roots.clone(),
            client_crl,
            required: settings.require_client_certificate,
            alpn: alpn_served(settings, bytes),
            tls13_only: settings.tls13_only,
            tls12_only: settings.tls12_only,
        };
        get_or_build(&self.servers, key, from, |key| server(snapshot, key))
    }
}

/// True if the authority's file has lists: while nothing is revoked it is missing, or empty, as Istio's istiod writes it. One
/// that cannot be asked for is not taken to be either.
fn revokes(file: &str) -> bool {
    match std::fs::metadata(file) {
        Ok(file) => file.len() > 0,
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// The test of a caller's certificate.
pub fn client_test(settings: &DownstreamTls) -> PeerTest {
    if settings.client_sans.is_empty() { PeerTest::Any } else { sans(&settings.client_sans) }
}

/// Passes peers of whose URI and DNS names one matches. A certificate's `*.example.com` stands for one label more (RFC
/// 6125), as Envoy has it.
pub(crate) fn sans(tests: &[StringMatch]) -> PeerTest {
    let tests: Arc<[StringMatch]> = tests.into();
    let described = format!("one of {} configured names", tests.len());
    PeerTest::Sans(Arc::new(move |peer| names_one_of(peer, &tests)), described.into())
}

/// True if a caller with this certificate passes the [test](client_test) still.
pub(crate) fn admits(settings: &DownstreamTls, peer: Option<&PeerCertificate>) -> bool {
    let tests = &settings.client_sans;
    tests.is_empty() || peer.is_none_or(|peer| names_one_of(peer, tests))
}

fn names_one_of(peer: &PeerCertificate, tests: &[StringMatch]) -> bool {
    let mut names = peer.uri_sans.iter().chain(&peer.dns_sans);
    names.any(|name| tests.iter().any(|test| test.matches(name.as_bytes()) || stands_for(name, test)))
}

/// True if a certificate's name has a wildcard that covers the very name that is wanted.
fn stands_for(name: &str, test: &StringMatch) -> bool {
    let (Some(parent), StringMatch::Exact { text, .. }) = (name.strip_prefix("*."), test) else { return false };
    let dot = text.iter().position(|byte| *byte == b'.');
    dot.is_some_and(|dot| dot > 0 && text[dot + 1..].eq_ignore_ascii_case(parent.as_bytes()))
}

fn get_or_build<K: Eq + std::hash::Hash, T: Clone>(
    all: &RefCell<HashMap<K, Built<T>>>,
    key: K,
    from: Vec<Source>,
    build: impl FnOnce(&K) -> Result<T, String>,
) -> Result<T, String> {
    if let Some(built) = all.borrow().get(&key).filter(|built| built.from == from) {
        return Ok(built.tls.clone());
    }
    let tls = build(&key)?;
    all.borrow_mut().insert(key, Built { from, tls: tls.clone() });
    Ok(tls)
}

fn sources<'a>(snapshot: &Snapshot, names: impl Iterator<Item = &'a SecretName>, crl: Option<&str>) -> Vec<Source> {
    names.flat_map(|name| Source::of(snapshot, name)).chain(crl.map(Source::file)).collect()
}

/// For Istio's mutual TLS the first word says what the connection carries.
fn alpn_of(settings: &UpstreamTls, carries: Use) -> Vec<Box<str>> {
    if !settings.istio {
        return settings.alpn.clone();
    }
    let words: &[&str] = match carries {
        Use::Http1 => &["istio-http/1.1", "istio", "http/1.1"],
        Use::Http2 => &["istio-h2", "istio", "h2"],
        Use::Tcp => &[carrier::ALPN, "istio"],
    };
    words.iter().map(|word| (*word).into()).collect()
}

/// Where Istio's mutual TLS carries bytes, callers that know carriers are served with them.
fn alpn_served(settings: &DownstreamTls, bytes: bool) -> Vec<Box<str>> {
    let istio = settings.alpn.iter().any(|word| &**word == "istio");
    let carrier = (bytes && istio).then(|| carrier::ALPN.into());
    carrier.into_iter().chain(settings.alpn.iter().cloned()).collect()
}

fn wire_alpn(words: &[Box<str>]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn server(snapshot: &Snapshot, key: &ServerKey) -> Result<ServerTls, String> {
    let keyed: Result<Vec<_>, _> = key.certificates.iter().map(|name| certificate(snapshot, name)).collect();
    let believed =
        key.client_roots.as_ref().map(|name| roots(snapshot, name, key.client_crl.as_deref())).transpose()?;
    let client_auth = match believed {
        None => ClientAuth::None,
        Some(roots) if key.required => ClientAuth::Required(roots),
        Some(roots) => ClientAuth::Optional(roots),
    };
    let settings = ServerSettings {
        certificates: certificates(keyed?),
        client_auth,
        alpn: wire_alpn(&key.alpn),
        versions: Versions::from_bounds(key.tls13_only, key.tls12_only).map_err(|error| error.to_string())?,
    };
    ServerTls::new(settings).map_err(|error| error.to_string())
}

/// Several certificates with DNS names are chosen by server name; others by what the client can verify.
fn certificates(keyed: Vec<KeyedCertificate>) -> Certificates {
    if keyed.len() < 2 || keyed.iter().any(|one| one.leaf().dns_sans.is_empty()) {
        return Certificates::Any(keyed);
    }
    let mut by_name = CertificatesByName::default();
    for one in keyed {
        let names = one.leaf().dns_sans.clone();
        names.iter().for_each(|name| by_name.add(name, one.clone()));
    }
    Certificates::ByName(by_name)
}

fn certificate(snapshot: &Snapshot, name: &SecretName) -> Result<KeyedCertificate, String> {
    if let SecretName::Files(chain, key) = name {
        return KeyedCertificate::from_files(Path::new(&**chain), Path::new(&**key)).map_err(|error| error.to_string());
    }
    let secrets = snapshot.secrets.get(name).and_then(|secrets| secrets.keys.as_ref());
    let keys = secrets.ok_or_else(|| format!("there is no certificate yet ({})", describe(name)))?;
    KeyedCertificate::from_pem(&keys.chain_pem, &keys.key_pem, &describe(name)).map_err(|error| error.to_string())
}

/// Roots, and what of theirs is revoked. Lists that come with the roots' secret count rather than a file's, as where
/// Envoy merges the two.
fn roots(snapshot: &Snapshot, name: &SecretName, crl: Option<&str>) -> Result<Roots, String> {
    let told = snapshot.secrets.get(name);
    let roots = match name {
        SecretName::SystemRoots => Roots::system(),
        SecretName::RootsFile(file) => Roots::from_file(Path::new(&**file)),
        _ => {
            let pem = told.and_then(|secrets| secrets.roots_pem.as_ref());
            let pem = pem.ok_or_else(|| format!("there are no roots yet ({})", describe(name)))?;
            Roots::from_pem(pem, &describe(name))
        }
    };
    let roots = roots.map_err(|error| error.to_string())?;
    let revocations = match (told.and_then(|secrets| secrets.revocations.as_ref()), crl) {
        (Some(told), _) => told.clone(),
        (None, Some(file)) => Revocations::from_file(Path::new(file)).map_err(|error| error.to_string())?,
        (None, None) => return Ok(roots),
    };
    Ok(roots.revoking(revocations))
}

fn describe(name: &SecretName) -> String {
    match name {
        SecretName::Workload => "the workload's own, from the certificate authority".to_owned(),
        SecretName::MeshRoots => "the mesh's roots, from the certificate authority".to_owned(),
        SecretName::Named(name) => format!("secret {name}"),
        SecretName::Files(chain, _) => format!("file {chain}"),
        SecretName::RootsFile(file) => format!("file {file}"),
        SecretName::SystemRoots => "the system's roots".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_of_a_certificate_is_one_label() {
        let wanted = |name: &str| StringMatch::Exact { text: name.as_bytes().into(), ignore_case: false };
        assert!(stands_for("*.example.com", &wanted("api.example.com")));
        for name in ["example.com", "a.api.example.com", ".example.com", "api.example.org"] {
            assert!(!stands_for("*.example.com", &wanted(name)), "{name}");
        }
        assert!(!stands_for("api.example.com", &wanted("api.example.com")), "no wildcard");
    }
}
