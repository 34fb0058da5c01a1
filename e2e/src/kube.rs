//! A real cluster, spoken to as users do: by kubectl and helm.

mod balancer;
mod fixture;
mod keys;
mod load;
mod place;
mod report;
mod scenario;
mod tools;
mod wound;

pub use balancer::Balancer;
pub use fixture::{close, prepare};
pub use load::Load;
pub use report::write as report;
pub use scenario::{ALL, Needs, Scenario};

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::client::{Answer, Call};
use crate::story::eventually;

/// Longer than anything takes to come up on a machine that does other things too.
pub const PATIENCE: &str = "180s";

/// Longer than a pod is given to end.
const ENDED: Duration = Duration::from_secs(60);

/// A cluster, by a context of the kubeconfig.
#[derive(Clone, Debug)]
pub struct Kube {
    context: String,
    kubectl: PathBuf,
    helm: PathBuf,
    /// The repository, where charts and objects are.
    root: PathBuf,
}

impl Kube {
    /// Speaks to the cluster of a context, by the kubectl and helm that `WEFT_KUBECTL` and `WEFT_HELM` name, or those of
    /// the `PATH`.
    pub fn new(context: &str) -> Self {
        Self {
            context: context.to_owned(),
            kubectl: tools::named("WEFT_KUBECTL", "kubectl"),
            helm: tools::named("WEFT_HELM", "helm"),
            root: Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default(),
        }
    }

    /// What kubectl answers to a command line, given as words.
    pub fn kubectl(&self, words: &str) -> Result<String> {
        self.kubectl_with(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// What kubectl answers to arguments.
    pub fn kubectl_with(&self, arguments: &[&str]) -> Result<String> {
        tools::output(Command::new(&self.kubectl).args(["--context", &self.context]).args(arguments))
    }

    /// What kubectl answers to arguments and to text on its standard input.
    pub fn kubectl_reads(&self, words: &str, input: &str) -> Result<String> {
        let mut command = Command::new(&self.kubectl);
        command.args(["--context", &self.context]).args(words.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn()?;
        // Dropped at the end of the statement, which ends the input.
        running.stdin.take().context("kubectl has no input")?.write_all(input.as_bytes())?;
        tools::success(&command, &running.wait_with_output()?)
    }

    /// What helm answers to a command line, given as a user types it, without quotes. It runs in the repository.
    pub fn helm(&self, words: &str) -> Result<String> {
        let mut helm = Command::new(&self.helm);
        helm.args(["--kube-context", &self.context]).args(words.split_whitespace()).current_dir(&self.root);
        tools::output(&mut helm)
    }

    /// What the API server has, as JSON.
    pub fn get(&self, words: &str) -> Result<Value> {
        let text = self.kubectl(&format!("get {words} --output json"))?;
        serde_json::from_str(&text).with_context(|| format!("kubectl get {words} gave no JSON"))
    }

    /// Applies a file of the repository.
    pub fn apply(&self, file: &str) -> Result<String> {
        self.kubectl_with(&["apply", "--filename", &self.root.join(file).display().to_string()])
    }

    /// Deletes what a file of the repository describes, and waits until it is gone.
    pub fn delete(&self, file: &str) -> Result<String> {
        self.kubectl_with(&["delete", "--ignore-not-found", "--filename", &self.root.join(file).display().to_string()])
    }

    /// Waits until a workload, such as `deployment/web`, runs as it should.
    pub fn wait_rolled_out(&self, namespace: &str, workload: &str) -> Result<()> {
        self.kubectl(&format!("rollout status --namespace {namespace} {workload} --timeout {PATIENCE}")).map(|_| ())
    }

    /// The pods that a label selects.
    pub fn pods(&self, namespace: &str, label: &str) -> Result<Vec<Value>> {
        let list = self.get(&format!("pods --namespace {namespace} --selector {label}"))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Their names.
    pub fn pod_names(&self, namespace: &str, label: &str) -> Result<Vec<String>> {
        let pods = self.pods(namespace, label)?;
        Ok(pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect())
    }

    /// Waits until pods that a label selects are there no more.
    pub fn wait_gone(&self, namespace: &str, label: &str, pods: &[String]) -> Result<()> {
        eventually(ENDED, || {
            let now = self.pod_names(namespace, label)?;
            let left: Vec<_> = pods.iter().filter(|name| now.contains(name)).collect();
            ensure!(left.is_empty(), "still there: {left:?}");
            Ok(())
        })
        .map(|_| ())
    }

    /// The address that a load balancer gave a Service.
    pub fn balanced_address(&self, namespace: &str, service: &str) -> Result<IpAddr> {
        let found = self.get(&format!("service {service} --namespace {namespace}"))?;
        let address = found["status"]["loadBalancer"]["ingress"][0]["ip"].as_str();
        Ok(address.with_context(|| format!("the Service {namespace}/{service} has no address"))?.parse()?)
    }

    /// The internal addresses of the nodes.
    pub fn node_addresses(&self) -> Result<Vec<IpAddr>> {
        let nodes = self.get("nodes")?;
        let all = nodes["items"].as_array().into_iter().flatten();
        all.flat_map(|node| node["status"]["addresses"].as_array().into_iter().flatten())
            .filter(|address| address["type"] == "InternalIP")
            .map(|address| Ok(address["address"].as_str().unwrap_or_default().parse()?))
            .collect()
    }

    /// A command in a container, to be completed with its words.
    pub fn exec(&self, namespace: &str, workload: &str, container: &str) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.args(["--context", &self.context, "exec", "--stdin", "--namespace", namespace, workload]);
        command.args(["--container", container, "--"]);
        command
    }

    /// Calls as an application does in a pod of the shop's image; returns what `weft-call` says, line by line.
    pub fn calls_from(&self, (namespace, workload): (&str, &str), arguments: &[&str]) -> Result<Vec<Value>> {
        let mut call = self.exec(namespace, workload, "app");
        let said = tools::output(call.stdin(Stdio::null()).arg("/usr/local/bin/weft-call").args(arguments))?;
        let read = |line| serde_json::from_str(line).with_context(|| format!("weft-call said {line:?}"));
        said.lines().map(read).collect()
    }

    /// The same of calls that are told of in one line.
    pub fn call_from(&self, namespace: &str, workload: &str, arguments: &[&str]) -> Result<Value> {
        self.calls_from((namespace, workload), arguments)?.pop().context("weft-call said nothing")
    }

    /// What a URL answers to one call from a pod of the shop's image: its body.
    pub fn ask_from(&self, namespace: &str, workload: &str, url: &str) -> Result<Value> {
        let answer = self.call_from(namespace, workload, &["--show", url])?;
        if answer["status"] != 200 {
            bail!("{workload} asked {url}: {answer}");
        }
        Ok(answer["body"].clone())
    }
}

/// A GET from outside of the cluster.
pub fn get_from_outside(address: IpAddr, port: u16, authority: &str, path: &str) -> Result<Answer> {
    let answer = Call::get(SocketAddr::new(address, port), authority, path).from_here()?;
    if !answer.status.is_success() {
        bail!("{authority}{path} at {address}:{port} answered {}: {}", answer.status, answer.text());
    }
    Ok(answer)
}
