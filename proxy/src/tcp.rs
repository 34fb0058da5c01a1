//! Bytes: a connection is carried to an endpoint and back.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mesh_types::Name;

use crate::conn::ConnInfo;
use crate::copy;
use crate::fault::{Cause, Fault, Flags, Step};
use crate::model::{Destination, Snapshot, TcpProxy};
use crate::pool;
use crate::record::TcpRecord;
use crate::route;
use crate::stream::Stream;
use crate::upstream::{Outcome, Permit, Pick, PickContext};
use crate::worker::Worker;

/// Endpoints that are tried before a connection is given up: nothing was sent, so nothing is repeated.
const TRIES: usize = 3;

/// A connection to an endpoint.
pub struct Opened {
    stream: Stream,
    pick: Pick,
    _permit: Permit,
}

/// What was heard on a connection before anything was said.
pub enum Early {
    /// The endpoint speaks first.
    Spoke,
    /// It closed without a word.
    Silent,
}

/// Carries a connection to its end. Gives it back if both directions have ended in order.
pub async fn serve(
    worker: &Rc<Worker>,
    snapshot: &Arc<Snapshot>,
    conn: &ConnInfo,
    proxy: &TcpProxy,
    mut stream: Stream,
) -> Option<Stream> {
    // Apart, since a connection that is carried needs no more of how it was made.
    match Box::pin(open(worker, snapshot, conn, proxy)).await {
        Ok(opened) => {
            stream.confirm().await.ok()?;
            carry(worker, conn, proxy, stream, opened).await
        }
        Err(fault) => {
            let mut record = TcpRecord::begin(None);
            record.flags = Flags::from(fault.flag());
            record.failure = Some(fault.to_string());
            worker.recorder.tcp_closed(conn, proxy, &record);
            tracing::debug!(peer = %conn.peer, destination = %conn.destination, "{fault}");
            None
        }
    }
}

/// Connects to an endpoint of one of the clusters, by weight.
///
/// # Errors
/// Of the last endpoint tried.
pub async fn open(
    worker: &Rc<Worker>,
    snapshot: &Arc<Snapshot>,
    conn: &ConnInfo,
    proxy: &TcpProxy,
) -> Result<Opened, Fault> {
    let cluster = choose(proxy);
    let known = worker.config.cluster(&cluster).await;
    let snapshot = known.as_ref().unwrap_or(snapshot);
    let no_cluster = || Fault::new(Cause::NoCluster, Step::Balance).because(format!("{cluster} does not exist"));
    let cluster = snapshot.clusters.get(&cluster).ok_or_else(no_cluster)?;
    let upstream = worker.upstreams.get(snapshot, cluster);
    upstream.ready().await?;
    let overflow = || Fault::new(Cause::Overflow, Step::Connect).because("too many connections (max_connections)");
    let hash = proxy.hashes_source.then(|| route::of_source(conn));
    let mut tried = Vec::new();
    loop {
        let context = PickContext { hash, original_destination: Some(conn.destination), tried: &tried };
        let pick = upstream.pick(&context)?;
        let permit = upstream.breakers().try_connection().ok_or_else(overflow)?;
        match pool::carrier::bytes(worker, snapshot, conn, &pick).await {
            Ok(stream) => {
                pick.report(Outcome::Connected);
                return Ok(Opened { stream, pick, _permit: permit });
            }
            Err(fault) => {
                pick.unreached(&fault);
                let address = pick.endpoint().address;
                if tried.contains(&address) || tried.len() + 1 == TRIES {
                    return Err(fault);
                }
                tried.push(address);
            }
        }
    }
}

impl Opened {
    /// Waits for the endpoint's first bytes, or its end, without taking them.
    pub async fn hears(&mut self) -> Early {
        match copy::first_bytes(&mut self.stream).await {
            Ok(bytes) if !bytes.is_empty() => {
                self.stream.put_back(bytes);
                Early::Spoke
            }
            _ => Early::Silent,
        }
    }
}

/// Carries bytes both ways until both sides have ended, or nothing moves for too long. Gives the caller's side back if
/// both directions have ended in order.
pub async fn carry(
    worker: &Rc<Worker>,
    conn: &ConnInfo,
    proxy: &TcpProxy,
    mut stream: Stream,
    mut opened: Opened,
) -> Option<Stream> {
    let cluster = opened.pick.upstream().config.clone();
    let mut record = TcpRecord::begin(Some(Destination::Cluster(cluster)));
    record.endpoint = Some(opened.pick.endpoint().clone());
    record.mtls = opened.stream.is_tls();
    worker.recorder.tcp_opened(conn, proxy, &record);
    let idle = proxy.idle_timeout.filter(|idle: &Duration| !idle.is_zero());
    let ended = copy::both_ways(&mut stream, &mut opened.stream, idle).await;
    (record.received, record.sent) = (ended.there, ended.back);
    if let Some(fault) = &ended.fault {
        record.flags = Flags::from(fault.flag());
        // Nobody may take what broke off for an end.
        if fault.cause != Cause::StreamIdle {
            stream.abort();
            opened.stream.abort();
        }
    }
    worker.recorder.tcp_closed(conn, proxy, &record);
    ended.fault.is_none().then(|| {
        pool::carrier::keep(opened.stream, &opened.pick);
        stream
    })
}

fn choose(proxy: &TcpProxy) -> Name {
    let total: u64 = proxy.clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
    let mut left = if total > 0 { fastrand::u64(..total) } else { 0 };
    let chosen = proxy.clusters.iter().find(|cluster| match left.checked_sub(u64::from(cluster.weight)) {
        None => true,
        Some(rest) => {
            left = rest;
            false
        }
    });
    // The decoder refuses a proxy without clusters.
    chosen.or(proxy.clusters.first()).map(|cluster| cluster.name.clone()).unwrap_or_else(|| "".into())
}
