//! Connections of bytes to an endpoint: over a carrier that carries nothing just now, or a new one.

use std::rc::Rc;
use std::time::Duration;

use mesh_tls::ClientTls;
use tokio::time::Instant;

use super::HostPool;
use crate::carrier::Carrier;
use crate::conn::ConnInfo;
use crate::connect::{self, Use, connect};
use crate::fault::{Cause, Fault, Step};
use crate::model::Snapshot;
use crate::stream::Stream;
use crate::upstream::Pick;
use crate::worker::Worker;

/// A callee waits for longer.
const IDLE: Duration = Duration::from_secs(60);
/// So many idle carriers are kept an endpoint and worker.
const MOST_IDLE: usize = 128;

/// A carrier between two connections.
pub(super) struct Idle {
    carrier: Box<Carrier>,
    since: Instant,
}

impl Idle {
    fn is_good(&mut self, now: Instant) -> bool {
        now - self.since < IDLE && self.carrier.is_quiet()
    }
}

/// A connection of bytes to the chosen endpoint.
///
/// # Errors
/// What [`connect`] says.
pub(crate) async fn bytes(
    worker: &Rc<Worker>,
    snapshot: &Snapshot,
    conn: &ConnInfo,
    pick: &Pick,
) -> Result<Stream, Fault> {
    let config = &pick.upstream().config;
    if let Some(settings) = connect::settings(config, pick.endpoint())
        && let Ok(tls) = worker.tls.client(snapshot, settings, Use::Tcp)
    {
        while let Some(mut carrier) = pick.host.pool().take_carrier(&tls) {
            match tokio::time::timeout(config.connect_timeout, carrier.open()).await {
                Ok(Ok(())) => return Ok(Stream::carried(carrier)),
                // The callee may have let it go at that moment.
                Ok(Err(_)) => {}
                Err(_) => return Err(Fault::new(Cause::ConnectTimeout, Step::Connect)),
            }
        }
    }
    connect(worker, snapshot, config, pick.endpoint(), Use::Tcp, conn).await
}

/// Keeps the carrier of a connection that has ended in both directions.
pub(crate) fn keep(stream: Stream, pick: &Pick) {
    // A PROXY header tells of one caller.
    if pick.upstream().config.proxy_protocol.is_none()
        && let Some(carrier) = stream.into_carrier()
    {
        pick.host.pool().keep_carrier(carrier);
    }
}

impl HostPool {
    /// The carrier that was used last, if it was opened under these settings and is still there.
    fn take_carrier(&self, tls: &ClientTls) -> Option<Box<Carrier>> {
        let (mut carriers, now) = (self.carriers.borrow_mut(), Instant::now());
        while let Some(mut last) = carriers.pop() {
            if last.is_good(now) && last.carrier.is_under(tls) {
                return Some(last.carrier);
            }
        }
        None
    }

    fn keep_carrier(&self, carrier: Box<Carrier>) {
        let mut carriers = self.carriers.borrow_mut();
        if carriers.len() < MOST_IDLE {
            carriers.push(Idle { carrier, since: Instant::now() });
        }
    }

    #[cfg(test)]
    pub(crate) fn idle_carriers(&self) -> usize {
        self.carriers.borrow().len()
    }

    pub(super) fn tidy_carriers(&self) {
        let now = Instant::now();
        self.carriers.borrow_mut().retain_mut(|idle| idle.is_good(now));
    }
}
