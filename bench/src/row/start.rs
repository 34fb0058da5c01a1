//! How long a proxy takes from its start until it accepts connections.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{labelled, rounds};
use crate::figure::{Figure, Promise};
use crate::pair;
use crate::peer::{Peer, Side, Work};
use crate::site::{PROXIES, PROXY, Site};
use crate::wait;

pub(super) fn measure(site: &Site) -> Result<Vec<Figure>> {
    let samples = rounds(site.rounds, &Peer::ALL, |peer| sample(site, *peer).with_context(|| peer.name()))?;
    let series = labelled(Peer::ALL, samples);
    Ok(vec![Figure { work: "start to listening", unit: "ms", series, promise: Promise::absolute(10.0, 5.0) }])
}

/// Milliseconds. The program is started by this one, without any of the tools that place others.
fn sample(site: &Site, peer: Peer) -> Result<f64> {
    let (launch, directory) = pair::launch(site, peer, Work::Http1, Side::Client)?;
    let log = std::fs::File::create(directory.join("start.log"))?;
    site.pod(Side::Client).inside(|| {
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).envs(launch.environment.iter().map(|(name, value)| (name, value)));
        command.uid(PROXY.as_raw()).gid(PROXY.as_raw()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let begun = Instant::now();
        let mut started = Started(in_place(&mut command).context("it does not start")?);
        wait::until("an open door", || {
            ensure!(started.0.try_wait()?.is_none(), "it has ended");
            wait::is_open(launch.door)
        })?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    })
}

/// Starts a program on the proxies' core from another thread, so that whoever waits for it stays out of its way.
fn in_place(command: &mut Command) -> Result<Child> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            PROXIES.take()?;
            Ok(command.spawn()?)
        });
        thread.join().map_err(|_| anyhow::anyhow!("the starting thread panicked"))?
    })
}

/// A process that ends with its handle.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
