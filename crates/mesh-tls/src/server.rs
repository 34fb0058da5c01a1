//! TLS towards clients.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client_verifier::Remembering;
use crate::error::{HandshakeError, TlsError};
use crate::keys::KeyedCertificate;
use crate::peer::PeerTest;
use crate::provider::provider;
use crate::resolver::{CertificatesByName, FirstUsable};
use crate::roots::Roots;
use crate::session::{Session, Versions};
use crate::stream::{Shaking, TlsStream};

/// How to take TLS from clients.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// What we show.
    pub certificates: Certificates,
    /// Whether clients show a certificate too.
    pub client_auth: ClientAuth,
    /// Protocols that we speak, in order of preference. A client that offers only others is refused (RFC 7301).
    pub alpn: Vec<Vec<u8>>,
    /// Versions allowed.
    pub versions: Versions,
}

/// What a server shows.
#[derive(Clone, Debug)]
pub enum Certificates {
    /// The first that the client can verify, whatever server it names.
    Any(Vec<KeyedCertificate>),
    /// By the server name.
    ByName(CertificatesByName),
}

/// Whether clients are asked for a certificate, and whose are believed.
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// Not asked.
    #[default]
    None,
    /// Asked; a client without one is let in as nobody, a client with a bad one is refused.
    Optional(Roots),
    /// Asked; a client without one is refused.
    Required(Roots),
}

/// Takes TLS from clients. Cheap to clone. Tickets are sealed with keys that live and die with this value, so a
/// session never outlives the roots under which its client was believed.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Builds the configuration; to be done once for each combination of settings.
    ///
    /// # Errors
    /// If there is no certificate, or rustls does not take the settings.
    pub fn new(settings: ServerSettings) -> Result<Self, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(settings.versions.list())?
            .with_client_cert_verifier(client_verifier(settings.client_auth)?)
            .with_cert_resolver(resolver(settings.certificates)?);
        config.alpn_protocols = settings.alpn;
        config.enable_secret_extraction = true;
        config.ticketer = Ticketer::new()?;
        // A connection uses one, and making one is a fiftieth of a handshake.
        config.send_tls13_tickets = 1;
        // Many callers put SHA-384 first, which would be a tenth of the handshake (see [`provider`]).
        config.ignore_client_order = true;
        Ok(Self { config: Arc::new(config) })
    }

    /// True for the same value and its clones.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// Takes TLS over `io`. `test` is put to clients that show a certificate. The caller bounds the time.
    ///
    /// # Errors
    /// If the handshake fails, the client's chain is not believed, or the client fails `test`.
    pub async fn accept<IO>(&self, io: IO, test: &PeerTest) -> Result<(TlsStream<IO>, Session), HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut shaking = Shaking::server(io, self.config.clone())?;
        let name = shaking.server_name().await?;
        Self::settle(shaking, name, test).await
    }

    /// The same from a client that is known to have sent this server name, if any, since its ClientHello was looked at.
    ///
    /// # Errors
    /// As [`ServerTls::accept`].
    pub async fn accept_named<IO>(
        &self,
        io: IO,
        name: Option<Box<str>>,
        test: &PeerTest,
    ) -> Result<(TlsStream<IO>, Session), HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        Self::settle(Shaking::server(io, self.config.clone())?, name, test).await
    }

    async fn settle<IO>(
        mut shaking: Shaking<IO>,
        name: Option<Box<str>>,
        test: &PeerTest,
    ) -> Result<(TlsStream<IO>, Session), HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        shaking.shake().await?;
        let mut session = Session::settle(shaking.state(), test)?;
        session.server_name = name;
        Ok((shaking.into_stream()?, session))
    }
}

fn client_verifier(auth: ClientAuth) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let builder = |roots: Roots| {
        WebPkiClientVerifier::builder_with_provider(roots.store, provider())
            .with_crls(roots.revocations.der())
            .enforce_revocation_expiration()
    };
    Ok(match auth {
        ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Optional(roots) => Arc::new(Remembering::new(builder(roots).allow_unauthenticated().build()?)),
        ClientAuth::Required(roots) => Arc::new(Remembering::new(builder(roots).build()?)),
    })
}

fn resolver(certificates: Certificates) -> Result<Arc<dyn ResolvesServerCert>, TlsError> {
    match certificates {
        Certificates::Any(list) if list.is_empty() => Err(TlsError::NoCertificate),
        Certificates::ByName(names) if names.is_empty() => Err(TlsError::NoCertificate),
        Certificates::Any(list) => Ok(Arc::new(FirstUsable(list))),
        Certificates::ByName(names) => Ok(Arc::new(names)),
    }
}
