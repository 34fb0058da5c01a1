//! Load inside the cluster: clients in a pod that call until they are stopped.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Kube;
use crate::client::Tally;

/// How many clients call at once, each on a connection of its own.
const CLIENTS: &str = "2";
/// How often each of them calls in a second.
const PER_SECOND: &str = "25";

/// Clients in a pod of the shop's image, called by `kubectl exec`. Dropping it ends them.
#[derive(Debug)]
pub struct Load {
    kubectl: Child,
    said: BufReader<ChildStdout>,
    method: String,
}

impl Load {
    /// Starts to call `url` from `workload` by a method, and returns once the first answer of each client is there.
    pub fn start(kube: &Kube, (namespace, workload): (&str, &str), method: &str, url: &str) -> Result<Self> {
        let mut command = kube.exec(namespace, workload, "app");
        command.args(["/usr/local/bin/weft-call", "--clients-until-closed", CLIENTS, "--per-second", PER_SECOND]);
        command.args(["--method", method, url]);
        let mut kubectl = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(kubectl.stdout.take().context("kubectl has no output")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        let mut load = Self { kubectl, said, method: method.to_owned() };
        ensure!(line.trim() == "calling", "{workload} cannot call {url}: {}", load.complaint());
        Ok(load)
    }

    /// Stops, and tells what happened.
    pub fn stop(mut self) -> Result<Tally> {
        drop(self.kubectl.stdin.take());
        let mut told = String::new();
        self.said.read_to_string(&mut told)?;
        let told: Value = serde_json::from_str(&told)
            .with_context(|| format!("the load ended before its time: {told:?} {}", self.complaint()))?;
        let failures = told["failures"].as_array().into_iter().flatten();
        let count = |name: &str| usize::try_from(told[name].as_u64().unwrap_or_default());
        Ok(Tally {
            succeeded: count("succeeded")?,
            connections: count("connections")?,
            failures: failures.map(|one| format!("{} {}", self.method, one.as_str().unwrap_or_default())).collect(),
            slowest: Duration::from_millis(told["slowest_ms"].as_u64().unwrap_or_default()),
        })
    }

    /// What kubectl or the clients complained of.
    fn complaint(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.kubectl.stderr.take() {
            let _ = self.kubectl.kill();
            let _ = stderr.read_to_string(&mut text);
        }
        text.trim().to_owned()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}
