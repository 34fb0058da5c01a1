//! How a client protects its calls: whom it trusts, and who it says it is.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The settings of a client's side of TLS.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts an authority, and shows no certificate.
    pub fn trusting(root_pem: &str) -> Result<Self> {
        Ok(Self(Arc::new(builder(root_pem)?.with_no_client_auth())))
    }

    /// Trusts an authority, and shows a certificate that proves a key.
    pub fn known_by(root_pem: &str, certificate_pem: &str, key_pem: &str) -> Result<Self> {
        let chain = certificates(certificate_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).context("the key is none")?;
        Ok(Self(Arc::new(builder(root_pem)?.with_client_auth_cert(chain, key)?)))
    }

    /// Connects, and asks for a host.
    pub(super) async fn connect(&self, address: SocketAddr, host: &str) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        let name = ServerName::try_from(host.to_owned())?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await.with_context(|| format!("TLS with {host}"))
    }
}

fn builder(root_pem: &str) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
    let mut roots = RootCertStore::empty();
    for root in certificates(root_pem)? {
        roots.add(root)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(versions.with_root_certificates(roots))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|one| one.context("a certificate is none")).collect()
}
