//! HTTP: a connection from the application or a peer is read, each request is decided, sent on and recorded.

mod attempt;
pub(crate) mod body;
pub(crate) mod buffer;
mod caller;
mod exchange;
pub(crate) mod grpc;
mod h1;
mod h2;
pub(crate) mod lane;
pub mod lent;
mod limits;
pub(crate) mod link;
pub(crate) mod live;
mod mirror;
mod protocol;
mod reach;
mod request;
mod response;
mod room;
pub(crate) mod timer;
mod unprocessed;
mod websocket;
pub(crate) mod wire;

use std::rc::Rc;
use std::time::Duration;

use crate::conn::ConnInfo;
use crate::model::ListenerKind;
use crate::stream::Stream;
use crate::worker::Worker;

use wire::Wire;

pub use live::Live;

/// Serves a connection to its end.
pub async fn serve(worker: &Rc<Worker>, conn: &Rc<ConnInfo>, mut live: Live, stream: Stream) {
    // Apart, since a future holds twice what it hands to another.
    let mut wire = Box::new(Wire::new(stream));
    let Some(http) = live.newest(worker, conn) else { return };
    let patience = http.idle_timeout.unwrap_or(Duration::MAX);
    let version = protocol::is_http2(http.codec, conn, &mut wire);
    let http2 = tokio::select! {
        found = tokio::time::timeout(patience, version) => found,
        () = worker.drain.closing(), if conn.kind != ListenerKind::Outbound => return,
    };
    match http2 {
        // Apart, since a connection of HTTP/1 is smaller, and there are many of them that wait.
        Ok(true) => Box::pin(h2::serve(worker, conn, live, *wire)).await,
        Ok(false) => h1::serve(worker, conn, live, wire).await,
        // Nobody said anything for so long.
        Err(_) => {}
    }
}
