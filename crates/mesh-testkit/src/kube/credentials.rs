//! Keys, certificates and tokens of one API server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

/// Files in the server's directory.
#[derive(Debug)]
pub(super) struct Credentials {
    /// Whom clients trust.
    pub root: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// What service accounts' tokens are signed with.
    pub account_key: PathBuf,
    /// What they are verified with.
    pub account_public_key: PathBuf,
    /// Tokens of users.
    pub tokens: PathBuf,
    /// The token of the user who may do everything.
    pub token: String,
    /// How that user gets in.
    pub kubeconfig: PathBuf,
}

impl Credentials {
    /// Writes new ones for a server at `url`.
    pub(super) fn write(directory: &Path, url: &str) -> Result<Self> {
        let write = |name: &str, content: String| -> Result<PathBuf> {
            let path = directory.join(name);
            std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(path)
        };
        let mut authority = named("test authority", Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let addresses = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = named("kube-apiserver", addresses)?.signed_by(&key, &authority)?;
        let account_key = KeyPair::generate()?;
        let token = KeyPair::generate()?.public_key_raw().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let root = write("ca.pem", authority.pem())?;
        Ok(Self {
            certificate: write("server.pem", certificate.pem())?,
            key: write("server-key.pem", key.serialize_pem())?,
            account_key: write("account-key.pem", account_key.serialize_pem())?,
            account_public_key: write("account-public-key.pem", account_key.public_key_pem())?,
            tokens: write("tokens.csv", format!("{token},admin,admin,system:masters\n"))?,
            kubeconfig: write("kubeconfig", kubeconfig(url, &root, &token))?,
            token,
            root,
        })
    }
}

/// The authority and what it signs need different names: else a certificate looks as if it had signed itself.
fn named(name: &str, addresses: Vec<String>) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(addresses)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    Ok(parameters)
}

fn kubeconfig(url: &str, root: &Path, token: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]
clusters: [{{name: test, cluster: {{server: \"{url}\", certificate-authority: \"{}\"}}}}]
users: [{{name: admin, user: {{token: \"{token}\"}}}}]
",
        root.display()
    )
}
