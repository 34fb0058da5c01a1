//! The proxies of a peer for some work: one on each side of the wire, or the client's alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mesh_testkit::lab::{Process, User};

use crate::load::handshake::{Caller, Then};
use crate::peer::{Launch, Peer, Side, Target, Work};
use crate::site::{PROXIES, Site};
use crate::{cpu, http, wait};

/// A pair that runs.
pub(crate) struct Pair {
    pub(crate) peer: Peer,
    pub(crate) target: Target,
    /// The client's proxy.
    pub(crate) client: Process,
    /// The server's proxy, and where it takes connections of other proxies.
    pub(crate) server: Option<(Process, SocketAddr)>,
}

impl Pair {
    /// Starts the pairs of several peers.
    pub(crate) fn all(site: &Site, peers: &[Peer], work: Work) -> Result<Vec<Self>> {
        peers.iter().map(|peer| Self::start(site, *peer, work)).collect()
    }

    /// Starts a pair, and proves that it does the work and lets nobody else in.
    pub(crate) fn start(site: &Site, peer: Peer, work: Work) -> Result<Self> {
        let server = match work {
            Work::Hop => None,
            _ => Some((start(site, peer, work, Side::Server)?, peer.server(site, work))),
        };
        let this = Self { peer, target: peer.target(work), client: start(site, peer, work, Side::Client)?, server };
        this.prove(site, work).with_context(|| format!("it does not do the work: {}", this.state()))?;
        Ok(this)
    }

    /// CPU time of both.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let server = match &self.server {
            Some((process, _)) => cpu::spent(process.id())?,
            None => Duration::ZERO,
        };
        Ok(cpu::spent(self.client.id())? + server)
    }

    /// The server's proxy, and where it takes connections of other proxies.
    pub(crate) fn server(&self) -> Result<&(Process, SocketAddr)> {
        self.server.as_ref().context("the work has no proxy beside the origin")
    }

    /// A request is answered; the server's proxy lets in who shows a certificate of the authority, and nobody else.
    fn prove(&self, site: &Site, work: Work) -> Result<()> {
        let asks_http1 = !matches!(work, Work::Grpc | Work::Bulk);
        let authority = self.target.authority;
        if asks_http1 {
            let ask =
                || http::Connection::new(http::connect(self.target.address)?).ask_well(http::get(authority).as_bytes());
            site.as_load(ask).context("a request")?;
        }
        let Some((_, door)) = &self.server else { return Ok(()) };
        let then = if asks_http1 { Then::Ask } else { Then::Close };
        let call = |caller: &Caller| site.as_proxy(|| caller.call(*door, authority, then));
        ensure!(call(&Caller::nobody()?).is_err(), "the server's proxy lets in who shows no certificate");
        let of = |account| Caller::known(&site.certificates.identity(account)?);
        let client = of("client")?;
        // iperf3 has one caller at a time, and cuts off whoever comes while it is still done with the last.
        wait::until("a caller with a certificate", || call(&client))?;
        if self.peer.authorizes() && asks_http1 {
            ensure!(call(&of("stranger")?).is_err(), "the server's proxy lets in a stranger");
        }
        Ok(())
    }

    /// Whose pair it is, and what its proxies said: for failures.
    pub(crate) fn state(&self) -> String {
        let of = |side, process: &Process| {
            let has = if cpu::is_running(process.id()) { "says" } else { "HAS ENDED, and said" };
            format!("the {side}'s proxy {has}:\n{}", process.output())
        };
        let server = self.server.as_ref().map(|(process, _)| of("server", process)).unwrap_or_default();
        format!("{}; {}{server}", self.peer.name(), of("client", &self.client))
    }
}

/// How a proxy is started, with a directory of its own.
pub(crate) fn launch(site: &Site, peer: Peer, work: Work, side: Side) -> Result<(Launch, PathBuf)> {
    let directory = site.directory(&format!("{}-{side:?}-{work:?}", peer.name()))?;
    Ok((peer.launch(site, work, side, &directory)?, directory))
}

fn start(site: &Site, peer: Peer, work: Work, side: Side) -> Result<Process> {
    let (launch, _) = launch(site, peer, work, side)?;
    Ok(run(site, &launch, &format!("{}-{work:?}", peer.name()), side)?.0)
}

/// Starts a proxy on its core and waits until it is ready; says how long that took.
pub(crate) fn run(site: &Site, launch: &Launch, name: &str, side: Side) -> Result<(Process, Duration)> {
    let pod = site.pod(side);
    let mut command = PROXIES.command(pod, User::Proxy, &launch.program);
    command.args(&launch.arguments).envs(launch.environment.iter().map(|(name, value)| (name, value)));
    let mut process = pod.spawn(name, &mut command)?;
    let ready = || {
        ensure!(process.is_running(), "it has ended");
        pod.inside(|| is_ready(launch))
    };
    let waited = wait::until(name, ready);
    let took = waited.with_context(|| format!("{name} is not ready; it says:\n{}", process.output()))?;
    Ok((process, took))
}

fn is_ready(launch: &Launch) -> Result<()> {
    let Some((address, page)) = launch.ready else {
        return wait::is_open(launch.door);
    };
    match http::status(address, page)? {
        200 => Ok(()),
        status => bail!("{page} answers {status}"),
    }
}
