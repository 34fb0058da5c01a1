//! TLS connections that show a certificate of their own and are not resumed, of a caller that is no proxy.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::certificates::Keyed;
use crate::http;

/// Handshakes under way at once.
const CALLERS: usize = 16;

/// What follows the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// One request, and its answer.
    Ask,
    /// Nothing: the connection is closed, and the server's end of it awaited.
    Close,
}

/// Who connects.
pub(crate) struct Caller(Arc<ClientConfig>);

impl Caller {
    /// Shows no certificate.
    pub(crate) fn nobody() -> Result<Self> {
        Self::new(None)
    }

    /// Shows one.
    pub(crate) fn known(keyed: &Keyed) -> Result<Self> {
        Self::new(Some(keyed))
    }

    fn new(keyed: Option<&Keyed>) -> Result<Self> {
        // One key exchange for all servers, whatever they prefer.
        let provider = CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::X25519], ..aws_lc_rs::default_provider() };
        let provider = Arc::new(provider);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unchecked));
        let mut config = match keyed {
            None => builder.with_no_client_auth(),
            Some(keyed) => {
                let chain = CertificateDer::pem_slice_iter(keyed.chain.as_bytes()).collect::<Result<_, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(keyed.key.as_bytes())?)?
            }
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Connects, and fails if the server does not want this caller.
    pub(crate) fn call(&self, server: SocketAddr, authority: &'static str, then: Then) -> Result<()> {
        let tls = ClientConnection::new(Arc::clone(&self.0), ServerName::try_from(authority)?)?;
        let mut stream = StreamOwned::new(tls, http::connect(server)?);
        if then == Then::Ask {
            return http::Connection::new(stream).ask_well(http::get(authority).as_bytes());
        }
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).context("the handshake")?;
        }
        stream.conn.send_close_notify();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut stream.sock)?;
        }
        stream.sock.shutdown(Shutdown::Write)?;
        // A server that refuses the certificate says so only after the caller's part of the handshake.
        match stream.read(&mut [0; 64]) {
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error).context("the server"),
            _ => Ok(()),
        }
    }

    /// Calls again and again from several threads; says how often.
    pub(crate) fn repeat(
        &self,
        server: SocketAddr,
        authority: &'static str,
        then: Then,
        lasting: Duration,
    ) -> Result<f64> {
        let (end, count) = (Instant::now() + lasting, AtomicU64::new(0));
        let caller = || -> Result<()> {
            while Instant::now() < end {
                self.call(server, authority, then)?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        super::in_parallel(CALLERS, |_| caller())?;
        Ok(count.into_inner() as f64)
    }
}

/// Believes every server: checking it would cost the load's core, and is not what is measured.
#[derive(Debug)]
struct Unchecked;

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
