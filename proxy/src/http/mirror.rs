//! Shadow copies of requests, whose answers nobody waits for.

use std::time::Duration;

use mesh_http::{BodyLength, RequestHead, ResponseHead};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

use super::body::Piece;
use super::exchange::{Call, no_cluster};
use super::lent::Lent;
use super::request::Outgoing;
use crate::conn::ConnInfo;
use crate::fault::Fault;
use crate::model::{Snapshot, UpstreamProtocol};
use crate::pool::{self, Reuse};
use crate::route::{Decision, Forward};
use crate::upstream::PickContext;
use crate::worker::Worker;

/// A copy is given up after so long.
const PATIENCE: Duration = Duration::from_secs(15);

/// A copy on its way.
struct Copy {
    worker: Rc<Worker>,
    conn: Rc<ConnInfo>,
    snapshot: Arc<Snapshot>,
    cluster: mesh_types::Name,
    head: RequestHead,
    body: Vec<u8>,
    hash: Option<u64>,
}

/// Sends the copies that the route asks for, once the request is read. A body too long to be kept is not copied.
pub(super) fn copies(call: &Call<'_>, decision: &Decision, forward: &Forward, head: &RequestHead, request: &Outgoing) {
    for (cluster, suffix) in &forward.mirrors {
        let Some(body) = request.whole() else {
            tracing::debug!(%cluster, "a request is not mirrored: its body is too long, or was not read to its end");
            continue;
        };
        let mut head = head.clone();
        head.body = if head.body.is_empty() { BodyLength::Empty } else { BodyLength::Exact(body.len() as u64) };
        if *suffix {
            head.set_authority(&shadow(head.authority()));
        }
        let copy = Copy {
            worker: call.worker.clone(),
            conn: call.conn.clone(),
            snapshot: decision.snapshot.clone(),
            cluster: cluster.clone(),
            head,
            body: body.to_vec(),
            hash: forward.hash,
        };
        tokio::task::spawn_local(copy.run());
    }
}

/// `reviews:9080` becomes `reviews-shadow:9080`.
fn shadow(authority: &[u8]) -> Vec<u8> {
    let at = memchr::memrchr(b':', authority).unwrap_or(authority.len());
    [&authority[..at], b"-shadow", &authority[at..]].concat()
}

impl Copy {
    async fn run(self) {
        match tokio::time::timeout(PATIENCE, self.send()).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::debug!(cluster = %self.cluster, "mirroring failed: {fault}"),
            Err(_) => tracing::debug!(cluster = %self.cluster, "mirroring was given up after {PATIENCE:?}"),
        }
    }

    async fn send(&self) -> Result<(), Fault> {
        let snapshot = match self.worker.config.cluster(&self.cluster).await {
            Ok(snapshot) => snapshot,
            Err(_) => self.snapshot.clone(),
        };
        let cluster = snapshot.clusters.get(&self.cluster).ok_or_else(|| no_cluster(&self.cluster))?;
        let upstream = self.worker.upstreams.get(&snapshot, cluster);
        upstream.ready().await?;
        let original_destination = Some(self.conn.destination);
        let pick = upstream.pick(&PickContext { hash: self.hash, original_destination, tried: &[] })?;
        let http2 = upstream.config.http.protocol == UpstreamProtocol::Http2;
        let mut client = pool::client(&self.worker, &snapshot, &self.conn, &pick, http2, Reuse::Any).await?;
        client.send_head(&self.head, self.head.body);
        client.send_data(&self.body);
        client.send_end(None);
        poll_fn(|cx| client.poll_flush(cx)).await?;
        let mut head = Lent::<ResponseHead>::new();
        while head.status < 200 {
            poll_fn(|cx| client.poll_head(cx, &mut head)).await?;
        }
        loop {
            let taken = poll_fn(|cx| {
                client.poll_body(cx).map_ok(|piece| match piece {
                    Piece::Data(data) => Some(data.len()),
                    Piece::End(_) => None,
                })
            });
            match taken.await? {
                Some(count) => client.consume(count),
                None => break,
            }
        }
        client.give_back(&pick, Instant::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn shadows_keep_their_port() {
        assert_eq!(super::shadow(b"reviews:9080"), b"reviews-shadow:9080");
        assert_eq!(super::shadow(b"reviews"), b"reviews-shadow");
    }
}
