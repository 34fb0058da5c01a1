//! Connections of a tonic client, over TLS or plain.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Error};
use tower::Service;

use crate::client::ClientTls;
use crate::peer::PeerTest;
use rustls::pki_types::ServerName;

/// Name look-up, connection and handshake together take no longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent connection is asked for a sign of life after so long …
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// … and is given up if there is none within so long.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How to secure a connection to a gRPC server.
#[derive(Clone, Debug)]
pub struct Secure {
    /// Our certificate and roots. ALPN must offer `h2`.
    pub tls: ClientTls,
    /// Sent as server name.
    pub name: ServerName<'static>,
    /// Who the server must be.
    pub test: PeerTest,
}

/// Anything that tonic can speak over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[derive(Clone)]
struct Connector {
    secure: Option<Secure>,
}

/// Connects to `address` (`host:port`), over TLS if `secure` says how. The channel reconnects to the same address when
/// the connection is lost, but always with the same certificate: connect anew to use a renewed one.
///
/// # Errors
/// If the address does not parse, or no connection is made; the handshake's error is among the sources.
pub async fn connect(address: &str, secure: Option<Secure>) -> Result<Channel, Error> {
    // tonic's own TLS is not compiled in, so the connection's scheme is http; requests still carry the true one.
    let scheme = if secure.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    if let Ok(origin) = format!("{scheme}://{address}").parse() {
        endpoint = endpoint.origin(origin);
    }
    endpoint.connect_with_connector(Connector { secure }).await
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let secure = self.secure.clone();
        Box::pin(async move { open(&uri, secure).await.map(TokioIo::new) })
    }
}

async fn open(uri: &Uri, secure: Option<Secure>) -> io::Result<Box<dyn Stream>> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if secure.is_some() { 443 } else { 80 });
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    let Some(secure) = secure else { return Ok(Box::new(socket)) };
    let (stream, _) = secure.tls.connect(socket, secure.name, &secure.test).await.map_err(io::Error::other)?;
    Ok(Box::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::Instant;
    use tonic::body::Body;

    /// An empty SETTINGS frame (RFC 9113, 6.5): the least that a server has to say for a connection to be one.
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

    #[tokio::test]
    async fn a_server_that_falls_silent_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (channel, accepted) = tokio::join!(connect(&address, None), listener.accept());
        let (mut channel, (mut server, _)) = (channel.unwrap(), accepted.unwrap());
        server.write_all(&SETTINGS).await.unwrap();
        std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
        let answer = tokio::spawn(channel.call(http::Request::post("/a.B/C").body(Body::empty()).unwrap()));
        // The preface has come, and whatever comes with it; nothing is read or said from here on, as on a lost node.
        server.read_exact(&mut [0; 24]).await.unwrap();
        tokio::time::pause();
        let begin = Instant::now();
        answer.await.unwrap().unwrap_err();
        let waited = begin.elapsed();
        assert!(waited <= KEEPALIVE_INTERVAL + KEEPALIVE_TIMEOUT + Duration::from_secs(1), "{waited:?}");
        assert!(waited >= KEEPALIVE_TIMEOUT, "{waited:?}: it had no time to answer");
    }
}
