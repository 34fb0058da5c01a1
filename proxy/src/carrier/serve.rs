//! A carrier's callee.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mesh_tls::ServerTls;

use super::Carrier;
use crate::accept::{Followed, Newest};
use crate::authz::{self, Subject};
use crate::conn::ConnInfo;
use crate::model::{DownstreamTls, FilterChain, Terminal};
use crate::stream::Stream;
use crate::tcp;
use crate::tls;
use crate::worker::Worker;

/// A caller keeps an idle carrier for less.
const IDLE: Duration = Duration::from_secs(120);

/// Serves one connection after another as the newest configuration has it, until the caller ends the carrier, a new one
/// would not be let in, its TLS settings change, or we drain.
///
/// # Errors
/// In words, for the log.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    mut conn: ConnInfo,
    (mut followed, mut chain): (Followed, Arc<FilterChain>),
    under: ServerTls,
    stream: Stream,
) -> Result<(), String> {
    let mut carrier = Box::new(Carrier::taken(stream));
    loop {
        let opened = tokio::time::timeout(IDLE, carrier.opened());
        let opened = tokio::select! {
            biased;
            opened = opened => opened,
            () = worker.drain.closing() => return Ok(()),
        };
        // Idle for too long, or ended by the caller.
        if !matches!(opened, Ok(Ok(()))) {
            return Ok(());
        }
        let snapshot = worker.snapshot();
        if !snapshot.listeners.contains_key(&conn.listener) || is_over(&conn) {
            return Ok(());
        }
        match followed.newest(&snapshot, &conn) {
            Newest::AsBefore => {}
            Newest::Chain(newest) => {
                conn.audited = authz::audited(&newest.rbac, &Subject { conn: &conn, head: None });
                chain = newest;
            }
            Newest::Refused(why) => {
                // A caller whom a policy forbids is connected and let go: its endpoint has not failed.
                let _ = carrier.confirm().await;
                return Err(why);
            }
        }
        let holds = |settings: &DownstreamTls| {
            let peer = conn.tls.as_ref().and_then(|tls| tls.peer.as_deref());
            let same = worker.tls.server(&snapshot, settings, true).is_ok_and(|now| now.is(&under));
            same && tls::admits(settings, peer)
        };
        let (Terminal::Tcp(proxy), true) = (&chain.terminal, chain.tls.as_deref().is_some_and(holds)) else {
            return Ok(());
        };
        let served = tcp::serve(worker, &snapshot, &conn, proxy, Stream::carried(carrier)).await;
        let Some(next) = served.and_then(Stream::into_carrier) else { return Ok(()) };
        carrier = next;
    }
}

/// True once the caller's certificate has expired.
fn is_over(conn: &ConnInfo) -> bool {
    let peer = conn.tls.as_ref().and_then(|tls| tls.peer.as_ref());
    peer.is_some_and(|peer| peer.validity.is_over(SystemTime::now()))
}
