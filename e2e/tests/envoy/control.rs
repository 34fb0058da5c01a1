//! The control plane of a comparison, in a pod of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::client::Call;
use e2e::mesh::Binaries;
use e2e::story::eventually;
use mesh_testkit::lab::{Lab, Pod, Process, User};
use mesh_types::{Identity, TrustDomain};

use super::agent::Agent;

/// How long anything may take to be ready.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// istiod on a directory of YAML.
pub(crate) struct Control {
    pub(crate) pod: Arc<Pod>,
    pub(crate) binaries: Binaries,
    keys: PathBuf,
    process: Process,
}

impl Control {
    /// Starts it in `pod`, and waits until it is ready.
    pub(crate) fn start(lab: &Lab, pod: Arc<Pod>, yaml: &[String]) -> Result<Self> {
        let config = lab.directory().join("config");
        std::fs::create_dir(&config)?;
        for (index, yaml) in yaml.iter().enumerate() {
            std::fs::write(config.join(format!("{index}.yaml")), yaml)?;
        }
        let binaries = Binaries::find()?;
        let keys = lab.directory().join("keys");
        let mut command = pod.command(User::Root, binaries.path("istiod"));
        command.arg("discovery").arg("--config-dir").arg(&config).arg("--ca-dir").arg(&keys);
        command.args(["--grpcAddr", "0.0.0.0:15010", "--secureGRPCAddr", "0.0.0.0:15012"]);
        command.args(["--monitoringAddr", "0.0.0.0:15014", "--httpAddr", "0.0.0.0:8080"]);
        let process = pod.spawn("istiod", &mut command)?;
        let this = Self { pod, binaries, keys, process };
        let ready = || {
            let answer = this.page("/ready")?;
            ensure!(answer.status.is_success(), "{}", answer.status);
            Ok(())
        };
        eventually(PATIENCE, ready).with_context(|| format!("istiod: {}", this.process.output()))?;
        Ok(this)
    }

    /// Where proxies find configuration and certificates, in plain text.
    pub(crate) fn discovery(&self) -> SocketAddr {
        SocketAddr::new(self.pod.ip(), 15010)
    }

    /// A token of a service account in the namespace `default`.
    pub(crate) fn token(&self, account: &str) -> Result<String> {
        let keys = self.keys.to_str().context("a path in UTF-8")?;
        let arguments = ["token", "--namespace", "default", "--service-account", account, "--ca-dir", keys];
        let printed = self.pod.run(User::Root, self.binaries.path("istiod"), &arguments)?;
        Ok(printed.trim().to_owned())
    }

    /// The socket of an agent that it starts for a stock Envoy. It stands in the control plane's pod, where nothing is
    /// redirected: in a pod's own, Istio's agent is spared as Envoy is.
    pub(crate) fn agent(&self, account: &str, directory: &Path) -> Result<PathBuf> {
        let agent = Agent {
            identity: Identity::new(TrustDomain::default(), "default", account)?,
            token: self.token(account)?,
            authority: self.discovery().to_string(),
        };
        agent.serve(Some(self.pod.clone()), directory)
    }

    /// Fails if a proxy refused a resource.
    pub(crate) fn was_not_refused(&self) -> Result<()> {
        let page = self.page("/debug/syncz")?.text();
        ensure!(page.matches("\"refused\":{}").count() == page.matches("\"refused\":").count(), "{page}");
        Ok(())
    }

    fn page(&self, path: &str) -> Result<e2e::client::Answer> {
        Call::get(SocketAddr::new(self.pod.ip(), 8080), "istiod", path).from(&self.pod)
    }
}
