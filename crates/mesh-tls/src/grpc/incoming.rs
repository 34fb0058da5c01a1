//! Connections for a tonic server, over TLS or plain.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::certificate::PeerCertificate;
use crate::peer::PeerTest;
use crate::server::ServerTls;
use crate::stream::TlsStream;

/// A handshake takes no longer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// So many handshakes run at a time; more wait in the kernel's queue.
const HANDSHAKES: usize = 256;
/// Wait after a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end; in the extensions of every tonic request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Its verified certificate; `None` over plain text or if it showed none.
    pub certificate: Option<Arc<PeerCertificate>>,
}

/// An accepted connection.
#[derive(Debug)]
pub struct GrpcStream {
    io: Io,
    peer: Peer,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Accepts connections for `tonic::transport::Server::serve_with_incoming`. With `tls`, each connection is handed on
/// after its handshake, under the settings that are newest when it begins. Accepting ends when the stream is dropped.
pub fn incoming(
    listener: TcpListener,
    tls: Option<watch::Receiver<ServerTls>>,
) -> ReceiverStream<io::Result<GrpcStream>> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(accept_all(listener, tls, sender));
    ReceiverStream::new(receiver)
}

async fn accept_all(
    listener: TcpListener,
    tls: Option<watch::Receiver<ServerTls>>,
    sender: mpsc::Sender<io::Result<GrpcStream>>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sender.closed() => return,
        };
        let (socket, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("cannot accept a gRPC connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let tls = tls.as_ref().map(|tls| tls.borrow().clone());
        let sender = sender.clone();
        tokio::spawn(async move {
            if let Some(stream) = open(socket, address, tls).await {
                let _ = sender.send(Ok(stream)).await;
            }
            drop(permit);
        });
    }
}

async fn open(socket: TcpStream, address: SocketAddr, tls: Option<ServerTls>) -> Option<GrpcStream> {
    let _ = socket.set_nodelay(true);
    let Some(tls) = tls else {
        return Some(GrpcStream { io: Io::Plain(socket), peer: Peer { address, certificate: None } });
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(socket, &PeerTest::Any)).await {
        Ok(Ok((stream, session))) => {
            let peer = Peer { address, certificate: session.peer };
            Some(GrpcStream { io: Io::Tls(Box::new(stream)), peer })
        }
        Ok(Err(error)) => {
            tracing::debug!("TLS handshake with {address}: {error}");
            None
        }
        Err(_) => {
            tracing::debug!("TLS handshake with {address}: not done after {HANDSHAKE_TIMEOUT:?}");
            None
        }
    }
}

impl Connected for GrpcStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for GrpcStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for GrpcStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
