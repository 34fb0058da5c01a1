//! TLS towards servers.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, client::ResolvesClientCert};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{HandshakeError, TlsError};
use crate::keys::KeyedCertificate;
use crate::peer::PeerTest;
use crate::provider::provider;
use crate::roots::Roots;
use crate::session::{Session, Versions};
use crate::stream::{Shaking, TlsStream};
use crate::tickets::Sessions;
use crate::verify::ChainVerifier;

/// How to open TLS to servers.
#[derive(Clone, Debug, Default)]
pub struct ClientSettings {
    /// Our certificate, shown if the server asks for one.
    pub certificate: Option<KeyedCertificate>,
    /// Whom we believe; `None` takes any certificate (Istio's `insecureSkipVerify`).
    pub roots: Option<Roots>,
    /// Protocols offered, in order of preference.
    pub alpn: Vec<Vec<u8>>,
    /// Versions allowed.
    pub versions: Versions,
}

/// Opens TLS to servers. Cheap to clone. Sessions are resumed only within one value and its clones, so that what was
/// believed under older roots or shown with an older certificate is forgotten with it.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Builds the configuration; to be done once for each combination of settings.
    ///
    /// # Errors
    /// If rustls does not take the settings.
    pub fn new(settings: ClientSettings) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(settings.versions.list())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ChainVerifier::new(settings.roots)?));
        let mut config = match settings.certificate {
            Some(ours) => {
                let resolver: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(ours.certified));
                builder.with_client_cert_resolver(resolver)
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = settings.alpn;
        config.enable_secret_extraction = true;
        config.resumption = Resumption::store(Arc::new(Sessions::default()));
        Ok(Self { config: Arc::new(config) })
    }

    /// True for the same value and its clones.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// Opens TLS over `io`. `name` is sent as server name, unless it is an IP address; it is not itself a test of the
    /// server (see [`PeerTest::Name`] for that). The caller bounds the time.
    ///
    /// # Errors
    /// If the handshake fails, the server's chain is not believed, or the server fails `test`.
    pub async fn connect<IO>(
        &self,
        io: IO,
        name: ServerName<'static>,
        test: &PeerTest,
    ) -> Result<(TlsStream<IO>, Session), HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut shaking = Shaking::client(io, self.config.clone(), name)?;
        shaking.shake().await?;
        let session = Session::settle(shaking.state(), test)?;
        Ok((shaking.into_stream()?, session))
    }
}

/// The name to open TLS with: `sni` if it can stand in a ClientHello (RFC 6066: a DNS name), else the address, for
/// which no server name is sent.
pub fn server_name(sni: Option<&str>, address: IpAddr) -> ServerName<'static> {
    sni.and_then(|sni| ServerName::try_from(sni.to_owned()).ok()).unwrap_or_else(|| ServerName::from(address))
}
