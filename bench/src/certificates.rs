//! Certificates for everybody, of the one authority that istiod signs with: SPIFFE identities on P-256 keys.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use citadel::{Authority, Caller, LONGEST, Names, Tokens};

/// The namespace of all workloads.
pub(crate) const NAMESPACE: &str = "default";
/// The host name of the certificate for those who know no SPIFFE.
pub(crate) const HOST: &str = "server.example.com";

/// The authority, and where its certificates are.
pub(crate) struct Certificates {
    authority: Authority,
    tokens: Tokens,
    directory: PathBuf,
}

/// A chain and its key.
pub(crate) struct Keyed {
    /// PEM.
    pub(crate) chain: String,
    /// PEM.
    pub(crate) key: String,
}

impl Certificates {
    /// Opens an authority in a directory, which istiod may share, and writes certificates into another.
    pub(crate) fn new(authority: &Path, directory: &Path) -> Result<Self> {
        let (authority, tokens) = citadel::open(authority)?;
        let this = Self { authority, tokens, directory: directory.to_owned() };
        fs::write(this.root(), this.authority.root_pem())?;
        for account in ["client", "server"] {
            this.write(account, &this.identity(account)?)?;
        }
        let host = this.authority.issue(&Names::Server(vec![HOST.to_owned()], Vec::new()), LONGEST)?;
        this.write("host", &host.into())?;
        Ok(this)
    }

    /// A new certificate for a service account.
    pub(crate) fn identity(&self, account: &str) -> Result<Keyed> {
        let identity = spiffe(account).parse().context("an identity")?;
        Ok(self.authority.issue(&Names::Workload(identity), LONGEST)?.into())
    }

    /// A token by which a proxy proves which service account it has.
    pub(crate) fn token(&self, account: &str) -> Result<String> {
        self.tokens.make(&Caller::new(NAMESPACE, account), LONGEST).map_err(anyhow::Error::msg)
    }

    /// The file of the root.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.join("root.pem")
    }

    /// The file of an account's chain and key, as HAProxy takes them.
    pub(crate) fn both(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.pem"))
    }

    /// The file of an account's chain.
    pub(crate) fn chain(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}-chain.pem"))
    }

    /// The file of an account's key.
    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}-key.pem"))
    }

    fn write(&self, name: &str, keyed: &Keyed) -> Result<()> {
        fs::write(self.both(name), format!("{}\n{}", keyed.chain, keyed.key))?;
        fs::write(self.chain(name), &keyed.chain)?;
        fs::write(self.key(name), &keyed.key).context("a certificate")
    }
}

impl From<(String, String)> for Keyed {
    fn from((chain, key): (String, String)) -> Self {
        Self { chain, key }
    }
}

/// The name of a service account in certificates.
pub(crate) fn spiffe(account: &str) -> String {
    format!("spiffe://cluster.local/ns/{NAMESPACE}/sa/{account}")
}
