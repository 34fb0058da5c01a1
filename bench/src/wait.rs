//! Waiting for what another process does.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long a proxy or a server may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until it succeeds, and says how long that took.
pub(crate) fn until(what: &str, mut attempt: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(()) => return Ok(start.elapsed()),
            Err(error) if start.elapsed() > PATIENCE => {
                return Err(error).with_context(|| format!("{what}: not within {PATIENCE:?}"));
            }
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// Fails if nobody accepts connections there.
pub(crate) fn is_open(door: SocketAddr) -> Result<()> {
    TcpStream::connect(door)?;
    Ok(())
}
