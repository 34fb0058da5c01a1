//! Requests to the application, past our own redirection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use axum::http::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use axum::http::{Request, Response};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use mesh_tls::{ClientSettings, ClientTls, PeerTest, Versions, server_name};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::HttpGet;

/// Connections from here to the pod's own address are not redirected (see `cni-init`).
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
/// More of an application's metrics is not read.
const LARGEST: usize = 64 * 1024 * 1024;

/// Connects to a port of the application, at the pod's address: not everything listens on loopback. There is no such
/// source in IPv6, where loopback is asked.
pub(super) async fn connect(address: IpAddr, port: u16) -> Result<TcpStream> {
    let (socket, to) = match address {
        IpAddr::V4(_) => {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(SOURCE.into(), 0))?;
            (socket, SocketAddr::new(address, port))
        }
        IpAddr::V6(_) => (tokio::net::TcpSocket::new_v6()?, SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)),
    };
    socket.connect(to).await.with_context(|| format!("cannot connect to {to}"))
}

/// The request of a probe. A `Host` among its fields is what is asked for; a kubelet names itself as `kube-probe`.
pub(super) fn request(get: &HttpGet, address: IpAddr) -> Result<Request<Empty<Bytes>>> {
    let path = if get.path.starts_with('/') { get.path.clone() } else { format!("/{}", get.path) };
    let mut request = Request::get(path).body(Empty::new())?;
    let host = SocketAddr::new(address, get.port).to_string();
    request.headers_mut().insert(HOST, host.parse()?);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("kube-probe/weft"));
    let mut set = std::collections::HashSet::new();
    for field in &get.http_headers {
        let name: HeaderName = field.name.parse().with_context(|| format!("{:?} is no field name", field.name))?;
        let value = HeaderValue::from_str(&field.value).with_context(|| format!("the value of {name}"))?;
        if set.insert(name.clone()) {
            request.headers_mut().insert(name, value);
        } else {
            request.headers_mut().append(name, value);
        }
    }
    Ok(request)
}

/// Asks the application. Its certificate is not tested, as a kubelet does not test it.
pub(super) async fn http(
    address: IpAddr,
    port: u16,
    secure: bool,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>> {
    let socket = connect(address, port).await?;
    if !secure {
        return send(socket, request).await;
    }
    let settings =
        ClientSettings { certificate: None, roots: None, alpn: vec![b"http/1.1".to_vec()], versions: Versions::Both };
    let tls = ClientTls::new(settings)?;
    let (stream, _) = tls.connect(socket, server_name(None, address), &PeerTest::Any).await?;
    send(stream, request).await
}

async fn send(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(async move {
        // What goes wrong is told to the request.
        let _ = connection.await;
    });
    Ok(sender.send_request(request).await?)
}

/// The body of a good answer.
pub(super) async fn text(response: Response<Incoming>) -> Result<String> {
    let status = response.status();
    ensure!(status.is_success(), "the application answered {status}");
    let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(anyhow::Error::from_boxed)?;
    Ok(String::from_utf8(body.to_bytes().into())?)
}
