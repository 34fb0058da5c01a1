//! Connections to endpoints: the socket, a PROXY header where one is asked for, TLS where the cluster has it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use mesh_tls::{PeerTest, server_name};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::carrier::{self, Carrier};
use crate::conn::ConnInfo;
use crate::fault::{Cause, Fault, Step};
use crate::model::{Cluster, Endpoint, Snapshot, TlsWhen, UpstreamTls};
use crate::proxy_header;
use crate::stream::Stream;
use crate::worker::Worker;

/// What the connection will carry; Istio's mutual TLS says so in its ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Bytes.
    Tcp,
}

/// Connects to an endpoint of a cluster, for the connection `conn` of a caller. Takes no longer than the cluster's
/// connect timeout.
///
/// # Errors
/// [`Cause::ConnectFailure`], [`Cause::ConnectTimeout`] or [`Cause::UpstreamTls`]; nothing of the request was sent.
pub async fn connect(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    cluster: &Cluster,
    endpoint: &Endpoint,
    carries: Use,
    conn: &ConnInfo,
) -> Result<Stream, Fault> {
    let opened = open(worker, snapshot, cluster, endpoint, carries, conn);
    match tokio::time::timeout(cluster.connect_timeout, opened).await {
        Ok(result) => result,
        Err(_) => {
            let reason =
                format!("{} did not answer within {} ms", endpoint.address, cluster.connect_timeout.as_millis());
            Err(Fault::new(Cause::ConnectTimeout, Step::Connect).because(reason))
        }
    }
}

async fn open(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    cluster: &Cluster,
    endpoint: &Endpoint,
    carries: Use,
    conn: &ConnInfo,
) -> Result<Stream, Fault> {
    let failed = |error: &io::Error| Fault::new(Cause::ConnectFailure, Step::Connect).because(describe(error));
    let socket = plain(cluster, endpoint.address).await.map_err(|error| failed(&error))?;
    let mut stream = Stream::plain(socket);
    if let Some(version) = cluster.proxy_protocol {
        let to = conn.announced.as_ref().map_or(conn.destination, |announced| announced.to);
        let header = proxy_header::write(version, conn.peer, to);
        stream.write_all(&header).await.map_err(|error| failed(&error))?;
    }
    match settings(cluster, endpoint) {
        None => Ok(stream),
        Some(settings) => secure(worker, snapshot, settings, endpoint, carries, stream).await,
    }
}

/// The first TLS setting of the cluster whose condition the endpoint meets.
pub(crate) fn settings<'a>(cluster: &'a Cluster, endpoint: &Endpoint) -> Option<&'a UpstreamTls> {
    let met = |when: TlsWhen| when == TlsWhen::Always || endpoint.mtls;
    cluster.tls.iter().find(|(when, _)| met(*when)).map(|(_, settings)| &**settings)
}

async fn plain(cluster: &Cluster, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bind) = cluster.bind.filter(|bind| bind.is_ipv4() == address.is_ipv4()) {
        socket.bind(SocketAddr::new(bind, 0))?;
    }
    socket.set_nodelay(true)?;
    if let Some(keepalive) = cluster.keepalive {
        SockRef::from(&socket).set_tcp_keepalive(&kernel_keepalive(keepalive))?;
    }
    socket.connect(address).await
}

fn kernel_keepalive(wanted: crate::model::TcpKeepalive) -> TcpKeepalive {
    let seconds = |count: u32| Duration::from_secs(u64::from(count));
    let mut keepalive = TcpKeepalive::new();
    if wanted.time > 0 {
        keepalive = keepalive.with_time(seconds(wanted.time));
    }
    if wanted.interval > 0 {
        keepalive = keepalive.with_interval(seconds(wanted.interval));
    }
    if wanted.probes > 0 {
        keepalive = keepalive.with_retries(wanted.probes);
    }
    keepalive
}

async fn secure(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    settings: &UpstreamTls,
    endpoint: &Endpoint,
    carries: Use,
    stream: Stream,
) -> Result<Stream, Fault> {
    let failed = |reason: String| Fault::new(Cause::UpstreamTls, Step::Connect).because(reason);
    let tls = worker.tls.client(snapshot, settings, carries).map_err(failed)?;
    let name = server_name(settings.sni.as_deref(), unmapped(endpoint.address.ip()));
    let connected = tls.connect(stream, name, &test(settings)).await;
    let (stream, session) = connected.map_err(|error| failed(error.to_string()))?;
    let stream = Stream::tls(Box::new(stream));
    if session.alpn.as_deref() != Some(carrier::ALPN.as_bytes()) {
        return Ok(stream);
    }
    let mut carrier = Box::new(Carrier::made(stream, tls));
    let refused = |_| Fault::new(Cause::ConnectFailure, Step::Connect).because("refused beside the endpoint's proxy");
    carrier.open().await.map_err(refused)?;
    Ok(Stream::carried(carrier))
}

/// Who the endpoint must be.
fn test(settings: &UpstreamTls) -> PeerTest {
    if !settings.identities.is_empty() {
        return PeerTest::Identities(settings.identities.clone());
    }
    if settings.sans.is_empty() {
        return PeerTest::Any;
    }
    crate::tls::sans(&settings.sans)
}

fn unmapped(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// In words that stay the same from one operating system's release to the next.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => error.to_string(),
    }
}
