//! The control plane of the laboratory: istiod in a pod of its own, with a directory for its keys.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mesh_testkit::lab::{Lab, Pod, Process, User};

use super::binaries::Binaries;
use crate::client::Call;
use crate::story::eventually;

/// The control plane's pod has this index.
const INDEX: u8 = 2;
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where it serves its state.
const DEBUG_PORT: u16 = 8080;

/// istiod, running or killed.
pub struct ControlPlane {
    pod: Pod,
    process: Option<Process>,
    istiod: PathBuf,
    config: PathBuf,
    keys: PathBuf,
}

impl ControlPlane {
    pub(super) fn start(lab: &Lab, binaries: &Binaries, config: &Path) -> Result<Self> {
        let pod = lab.pod("istiod", INDEX)?;
        let keys = pod.directory().join("keys");
        let mut this = Self { pod, process: None, istiod: binaries.path("istiod"), config: config.to_owned(), keys };
        this.run()?;
        Ok(this)
    }

    /// Starts istiod, if it does not run, and waits until it is ready.
    pub fn run(&mut self) -> Result<()> {
        let mut command = self.pod.command(User::Root, &self.istiod);
        command
            .arg("discovery")
            .arg("--config-dir")
            .arg(&self.config)
            .arg("--ca-dir")
            .arg(&self.keys)
            .args(["--grpcAddr", "[::]:15010", "--secureGRPCAddr", "[::]:15012"])
            .args(["--monitoringAddr", "[::]:15014", "--httpAddr", &format!("[::]:{DEBUG_PORT}")]);
        self.process = Some(self.pod.spawn("istiod", &mut command)?);
        self.wait_ready().with_context(|| format!("istiod is not ready; it said:\n{}", self.output()))
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill(),
            None => bail!("istiod does not run"),
        }
    }

    /// Where proxies find it.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), 15012)
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.pod.ip()
    }

    /// Its pod.
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// The mesh's root certificates.
    pub fn root_certificates(&self) -> PathBuf {
        self.keys.join("root-cert.pem")
    }

    /// All that it logged.
    pub fn output(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    /// A token by which a workload proves who it is, as Kubernetes would project it.
    pub fn token(&self, namespace: &str, service_account: &str) -> Result<String> {
        let output = Command::new(&self.istiod)
            .args(["token", "--namespace", namespace, "--service-account", service_account, "--ca-dir"])
            .arg(&self.keys)
            .output()?;
        if !output.status.success() {
            bail!("no token for {namespace}/{service_account}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// A page of its debug interface.
    pub fn debug(&self, path: &str) -> Result<crate::client::Answer> {
        Call::get(SocketAddr::new(self.ip(), DEBUG_PORT), "istiod", path).from(&self.pod)
    }

    fn wait_ready(&self) -> Result<()> {
        eventually(PATIENCE, || {
            let answer = self.debug("/ready")?;
            if answer.status.is_success() { Ok(()) } else { bail!("/ready answered {}", answer.status) }
        })?;
        Ok(())
    }
}
