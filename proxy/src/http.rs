//! HTTP: a connection from the application or a peer is read, each request is decided, sent on and recorded.

mod attempt;
pub(crate) mod body;
pub(crate) mod buffer;
mod caller;
mod exchange;
mod h1;
mod live;
mod mirror;
mod request;
mod response;
pub(crate) mod timer;
pub(crate) mod wire;

use std::rc::Rc;

use crate::conn::ConnInfo;
use crate::stream::Stream;
use crate::worker::Worker;

pub use live::Live;

/// Serves a connection to its end.
pub async fn serve(worker: &Rc<Worker>, conn: &Rc<ConnInfo>, live: Live, stream: Stream) {
    h1::serve(worker, conn, live, stream).await;
}
