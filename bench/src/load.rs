//! What asks the proxies: tools where there are good ones, and small loads of our own.

pub(crate) mod bytes;
pub(crate) mod grpc;
pub(crate) mod handshake;
pub(crate) mod idle;
pub(crate) mod open;
pub(crate) mod requests;

use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

/// Connections of every load that does not say otherwise.
pub(crate) const CONNECTIONS: usize = 64;

/// What a tool prints once it has succeeded.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{} {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// Runs some work on so many threads, and fails as the first of them does.
fn in_parallel<T: Send>(threads: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    std::thread::scope(|scope| {
        let work = &work;
        let started: Vec<_> = (0..threads).map(|index| scope.spawn(move || work(index))).collect();
        started.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a load panicked"))?).collect()
    })
}
