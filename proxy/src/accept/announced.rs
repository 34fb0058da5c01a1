//! Connections that something before us has taken first, and tells who calls.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::proxy_header::{self, Caller, Header};
use crate::worker::Worker;

/// A header takes no longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Who calls, by the header of the PROXY protocol that comes first; nobody if who sends it speaks for itself. What came
/// behind it is in `early`.
///
/// # Errors
/// In words, if no header comes.
pub(super) async fn caller(
    worker: &Worker,
    socket: &mut TcpStream,
    early: &mut Vec<u8>,
) -> Result<Option<Caller>, String> {
    let reading = async {
        loop {
            if let Header::Whole(length, caller) = proxy_header::read(early)? {
                early.drain(..length);
                return Ok(caller);
            }
            if socket.read_buf(early).await.map_err(|error| error.to_string())? == 0 {
                return Err("it ended before its PROXY header did".to_owned());
            }
        }
    };
    tokio::select! {
        biased;
        read = tokio::time::timeout(PATIENCE, reading) => {
            read.unwrap_or_else(|_| Err(format!("no PROXY header came within {} s", PATIENCE.as_secs())))
        }
        () = worker.drain.closing() => Err("no PROXY header had come when the proxy was told to end".to_owned()),
    }
}
