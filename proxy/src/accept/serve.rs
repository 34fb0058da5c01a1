//! An accepted connection's way to its filter chain and through it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_tls::ServerTls;
use mesh_types::Name;
use tokio::net::TcpStream;

use super::announced;
use super::chain::{Facts, choose};
use super::follow::Followed;
use super::original;
use super::sniff::{self, Sniffed};
use crate::authz::{self, Subject};
use crate::carrier;
use crate::conn::{Announced, ConnInfo, PeerTls};
use crate::http::{self, Live};
use crate::model::{DownstreamTls, FilterChain, Listener, ListenerKind, Snapshot, Terminal, Transport};
use crate::stream::Stream;
use crate::tcp::{self, Early};
use crate::tls;
use crate::worker::Worker;
use crate::xds::DemandError;

/// A handshake takes no longer (Istio's `transport_socket_connect_timeout`).
const HANDSHAKE: Duration = Duration::from_secs(15);
/// A connection on which nobody speaks ends after so long (Istio's idle timeout of connections).
const SILENCE: Duration = Duration::from_hours(1);
/// Room for a usual ClientHello or request.
const FIRST_BYTES: usize = 2048;
/// A caller that has something to say first has said it by then. After it the endpoint is listened to as well.
const FIRST_WORD: Duration = Duration::from_millis(1);
/// The same where the port is HTTP's or TLS' by declaration, so that a caller who lingers costs strangers no connection.
const DECLARED_FIRST_WORD: Duration = Duration::from_millis(100);

/// Serves a connection to its end.
///
/// # Errors
/// In words, for the log, if it ended before a chain took it.
pub(super) async fn connection(
    worker: &Rc<Worker>,
    listener: &Name,
    socket: TcpStream,
    peer: SocketAddr,
) -> Result<(), String> {
    // What follows stands apart, since a connection of HTTP is smaller, and may be idle for long.
    let Some(taken) = Box::pin(take(worker, listener, socket, peer)).await? else { return Ok(()) };
    match taken.apart() {
        Apart::Http(conn, live, stream) => http::serve(worker, &conn, live, stream).await,
        Apart::Bytes(taken) => Box::pin(bytes(worker, taken)).await?,
    }
    Ok(())
}

/// Serves a connection of bytes to its end.
async fn bytes(worker: &Rc<Worker>, taken: Box<Taken>) -> Result<(), String> {
    let Taken { snapshot, conn, facts, chain, stream, way } = *taken;
    let Terminal::Tcp(proxy) = &chain.terminal else { return Ok(()) };
    match way {
        Way::Carrier(tls) => {
            let followed = Followed::new(facts, None);
            drop(snapshot);
            return carrier::serve(worker, conn, (followed, chain), tls, stream).await;
        }
        Way::Opened(opened) => _ = tcp::carry(worker, &conn, proxy, stream, opened).await,
        Way::Ahead => _ = tcp::serve(worker, &snapshot, &conn, proxy, stream).await,
    }
    Ok(())
}

/// A connection that a filter chain has taken.
struct Taken {
    snapshot: Arc<Snapshot>,
    conn: ConnInfo,
    facts: Facts,
    chain: Arc<FilterChain>,
    stream: Stream,
    way: Way,
}

/// What a connection that was taken is for, with what is needed for it.
enum Apart {
    Http(Rc<ConnInfo>, Live, Stream),
    Bytes(Box<Taken>),
}

impl Taken {
    fn apart(self) -> Apart {
        match &self.chain.terminal {
            Terminal::Tcp(_) => Apart::Bytes(Box::new(self)),
            Terminal::Http(settings) => {
                let live = Live::new(settings.clone(), self.facts, self.snapshot.version);
                Apart::Http(Rc::new(self.conn), live, self.stream)
            }
        }
    }
}

/// How far a connection that was taken is.
enum Way {
    /// All is still to be done.
    Ahead,
    /// The endpoint's end was opened already.
    Opened(tcp::Opened),
    /// It is a carrier, under these settings: each connection that it brings is to be let in by itself.
    Carrier(ServerTls),
}

/// Finds the chain that takes a connection, and terminates TLS. `None` if nobody needs to serve it.
async fn take(
    worker: &Rc<Worker>,
    listener: &Name,
    mut socket: TcpStream,
    peer: SocketAddr,
) -> Result<Option<Taken>, String> {
    let local = socket.local_addr().map_err(|error| error.to_string())?;
    let snapshot = worker.snapshot();
    let captured = snapshot.listeners.get(listener).ok_or("its listener is gone")?.clone();
    let original = captured.redirected.then(|| original::destination(&socket, local)).flatten();
    if captured.hands_on() && original.is_none() {
        return Err(format!("it was made to {local} itself and not redirected, so nobody knows where it should go"));
    }
    let destination = original.unwrap_or(local);
    let (snapshot, listener) = redirected(worker, snapshot, captured, destination).await?;
    worker.config.touch(&listener.last_use);
    let mut early = Vec::with_capacity(FIRST_BYTES);
    let caller = match listener.inspect.proxy_protocol {
        true => announced::caller(worker, &mut socket, &mut early).await?,
        false => None,
    };
    let announced = caller.map(|caller| Box::new(Announced { by: peer, to: caller.to }));
    let peer = caller.map_or(peer, |caller| caller.from);
    let conn = ConnInfo::new(listener.kind, listener.name.clone(), peer, destination);
    let mut conn = ConnInfo { local, announced, ..conn };
    let mut facts =
        Facts { destination, source: peer.ip(), transport: Transport::Raw, server_name: None, protocols: Vec::new() };
    if listener.inspect.tls || listener.inspect.http {
        let first = first_bytes(worker, &snapshot, &listener, &facts, &conn, (&mut socket, &mut early));
        match in_time(worker, &listener, first).await? {
            // Nobody listens to HTTP or TLS without asking first.
            First::Caller(sniffed) if sniffed.silent && is_declared(&listener) => return Ok(None),
            First::Caller(sniffed) => {
                facts.transport = sniffed.transport.unwrap_or(Transport::Raw);
                (facts.server_name, facts.protocols) = (sniffed.server_name, sniffed.protocols);
            }
            First::Endpoint(chain, opened) => {
                let stream = Stream::plain(socket).with_early(early);
                conn.audited = authz::audited(&chain.rbac, &Subject { conn: &conn, head: None });
                return Ok(Some(Taken { snapshot, conn, facts, chain, stream, way: Way::Opened(opened) }));
            }
        }
    }
    conn.sni = facts.server_name.clone();
    let chain =
        choose(&listener, &facts).ok_or_else(|| format!("no filter chain of {} takes it", listener.name))?.clone();
    let mut stream = Stream::plain(socket).with_early(early);
    if let Some(settings) = &chain.tls {
        let bytes = matches!(chain.terminal, Terminal::Tcp(_));
        let tls = worker.tls.server(&snapshot, settings, bytes)?;
        stream = terminate(&tls, settings, (stream, &facts), &mut conn).await?;
        if conn.tls.as_ref().is_some_and(|tls| tls.alpn.as_deref() == Some(carrier::ALPN)) {
            return Ok(Some(Taken { snapshot, conn, facts, chain, stream, way: Way::Carrier(tls) }));
        }
    }
    authz::check(&chain.rbac, &Subject { conn: &conn, head: None })
        .map_err(|fault| format!("refused: {}", fault.details()))?;
    conn.audited = authz::audited(&chain.rbac, &Subject { conn: &conn, head: None });
    Ok(Some(Taken { snapshot, conn, facts, chain, stream, way: Way::Ahead }))
}

/// The listener of the destination, asked for if it is not known; else the one that captured the connection.
async fn redirected(
    worker: &Rc<Worker>,
    snapshot: Arc<Snapshot>,
    captured: Arc<Listener>,
    destination: SocketAddr,
) -> Result<(Arc<Snapshot>, Arc<Listener>), String> {
    if !captured.hands_on() {
        return Ok((snapshot, captured));
    }
    match worker.config.listener(destination).await {
        Ok(snapshot) => {
            let listener = snapshot.listener_for(destination).cloned().unwrap_or(captured);
            Ok((snapshot, listener))
        }
        Err(DemandError::DoesNotExist) => Ok((snapshot, captured)),
        Err(error) => Err(format!("what listens on {destination} is not known: {error}")),
    }
}

/// Bounds the wait for somebody's first bytes: a connection on which nobody speaks does not stay for ever, nor keep us from
/// ending.
async fn in_time(
    worker: &Worker,
    listener: &Listener,
    first: impl Future<Output = Result<First, String>>,
) -> Result<First, String> {
    let must_shake = listener.chains.iter().all(|chain| chain.tls.is_some());
    let patience = listener.inspect.timeout.unwrap_or(if must_shake { HANDSHAKE } else { SILENCE });
    let ends = async {
        match listener.kind {
            // The application's own connections stay open while it lives (P05).
            ListenerKind::Outbound => std::future::pending().await,
            _ => worker.drain.closing().await,
        }
    };
    tokio::select! {
        biased;
        first = tokio::time::timeout(patience, first) => match first {
            Ok(first) => first,
            // What it says later is taken for bytes (Istio's `protocolDetectionTimeout`).
            Err(_) if listener.inspect.timeout.is_some() => Ok(First::Caller(Sniffed::default())),
            Err(_) => Err(format!("nobody said anything for {} s", patience.as_secs())),
        },
        () = ends => Err("nobody had said anything when the proxy was told to end".to_owned()),
    }
}

/// Who spoke first.
enum First {
    Caller(Sniffed),
    /// The endpoint of the chain for bytes, on a connection that was opened meanwhile.
    Endpoint(Arc<FilterChain>, tcp::Opened),
}

/// An outbound listener on every address is one of a declared port; undeclared ones have an address.
fn is_declared(listener: &Listener) -> bool {
    let everywhere = listener.addresses.iter().all(|address| address.ip().is_unspecified());
    listener.kind == ListenerKind::Outbound && everywhere
}

fn first_word(listener: &Listener) -> Duration {
    if is_declared(listener) { DECLARED_FIRST_WORD } else { FIRST_WORD }
}

/// Whichever side speaks first decides: a server-first protocol needs no time-out and no declaration (P33).
async fn first_bytes(
    worker: &Rc<Worker>,
    snapshot: &Arc<Snapshot>,
    listener: &Arc<Listener>,
    facts: &Facts,
    conn: &ConnInfo,
    (socket, early): (&mut TcpStream, &mut Vec<u8>),
) -> Result<First, String> {
    let mut reading = std::pin::pin!(sniff::read(socket, &listener.inspect, early));
    let failed = |error: std::io::Error| error.to_string();
    if let Ok(sniffed) = tokio::time::timeout(first_word(listener), reading.as_mut()).await {
        return sniffed.map(First::Caller).map_err(failed);
    }
    let bytes = choose(listener, facts).filter(|chain| chain.tls.is_none());
    let Some((chain, proxy)) = bytes.and_then(|chain| match &chain.terminal {
        Terminal::Tcp(proxy) => Some((chain.clone(), proxy.clone())),
        Terminal::Http(_) => None,
    }) else {
        return reading.await.map(First::Caller).map_err(failed);
    };
    // Who has not spoken yet may still prove to be somebody who may call.
    if authz::check(&chain.rbac, &Subject { conn, head: None }).is_err() {
        return reading.await.map(First::Caller).map_err(failed);
    }
    let listening = async {
        match tcp::open(worker, snapshot, conn, &proxy).await {
            Ok(mut opened) => {
                match opened.hears().await {
                    Early::Spoke => opened,
                    // Nothing to hear there: the caller decides after all.
                    Early::Silent => std::future::pending().await,
                }
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        sniffed = &mut reading => sniffed.map(First::Caller).map_err(failed),
        opened = listening => Ok(First::Endpoint(chain, opened)),
    }
}

async fn terminate(
    server: &ServerTls,
    settings: &DownstreamTls,
    (stream, facts): (Stream, &Facts),
    conn: &mut ConnInfo,
) -> Result<Stream, String> {
    let test = tls::client_test(settings);
    let accepted = async {
        match facts.transport {
            Transport::Tls => server.accept_named(stream, facts.server_name.clone(), &test).await,
            Transport::Raw => server.accept(stream, &test).await,
        }
    };
    let accepted = tokio::time::timeout(HANDSHAKE, accepted).await;
    let (stream, session) =
        accepted.map_err(|_| "the TLS handshake took too long")?.map_err(|error| error.to_string())?;
    conn.sni = session.server_name.clone().or(conn.sni.take());
    conn.tls = Some(PeerTls {
        peer: session.peer,
        alpn: session.alpn.as_deref().map(|alpn| String::from_utf8_lossy(alpn).into()),
        version: session.version,
    });
    Ok(Stream::tls(Box::new(stream)))
}
