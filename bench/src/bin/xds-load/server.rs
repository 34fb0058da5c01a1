//! The control plane under load, and what it costs.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Whatever takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// A process is at rest when it used hardly any CPU for so long.
const REST: Duration = Duration::from_millis(500);
/// What counts as hardly any: keep-alives and clocks of a thousand connections.
const IDLE_MS: f64 = 3.0;

/// A process that serves xDS.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pid: u32,
    /// If it is ours to end.
    child: Option<Child>,
}

impl Server {
    /// Starts istiod on a directory of YAML, listening at `address`.
    pub(crate) async fn start(istiod: &Path, config: &Path, authority: &Path, address: SocketAddr) -> Result<Self> {
        let mut command = Command::new(istiod);
        command.arg("discovery").arg("--config-dir").arg(config).arg("--ca-dir").arg(authority);
        command.arg("--grpcAddr").arg(address.to_string());
        for flag in ["--secureGRPCAddr", "--monitoringAddr", "--httpAddr", "--httpsAddr"] {
            command.arg(flag).arg(free()?.to_string());
        }
        command.args(["--log_output_level", "default:warn"]).stdin(Stdio::null());
        let child = command.spawn().with_context(|| format!("{} (build it first)", istiod.display()))?;
        let mut server = Self { address, pid: child.id(), child: Some(child) };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = server.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                bail!("istiod ended: {status}");
            }
            if Instant::now() > deadline {
                bail!("istiod does not listen on {address} after {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.rest().await?;
        Ok(server)
    }

    /// One that runs already.
    pub(crate) fn running(address: SocketAddr, pid: u32) -> Self {
        Self { address, pid, child: None }
    }

    /// CPU time used so far, in milliseconds.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let tasks = format!("/proc/{}/task", self.pid);
        let mut nanoseconds = 0.0;
        for task in std::fs::read_dir(&tasks).with_context(|| tasks.clone())? {
            // A thread may have ended meanwhile.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let first = text.split_whitespace().next().and_then(|one| one.parse::<f64>().ok());
            nanoseconds += first.context("/proc/PID/task/TID/schedstat does not begin with a number")?;
        }
        Ok(nanoseconds / 1e6)
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.pid);
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        number.with_context(|| format!("{path} has no VmRSS"))
    }

    /// Waits until it has nothing to do, and says how much CPU time it has used until then.
    pub(crate) async fn rest(&self) -> Result<f64> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = self.cpu()?;
        loop {
            tokio::time::sleep(REST).await;
            let now = self.cpu()?;
            if now - before < IDLE_MS {
                return Ok(now);
            }
            if Instant::now() > deadline {
                bail!("the control plane does not come to rest");
            }
            before = now;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An address that nobody listens on.
pub(crate) fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr())?)
}
