//! Containers that are killed: nodes of kind are containers themselves, which docker enters.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Kube, tools};

impl Kube {
    /// True if the cluster's nodes are containers of a docker that answers, as kind's are. Such a cluster has no load
    /// balancer, and what runs on it can be killed.
    pub fn is_of_containers(&self) -> bool {
        let nodes = self.kubectl("get nodes --output name").unwrap_or_default();
        let is_container = |node: &str| {
            let name = node.trim_start_matches("node/");
            tools::output(Command::new("docker").args(["container", "inspect", "--format", "{{.Name}}", name])).is_ok()
        };
        !nodes.is_empty() && nodes.lines().all(is_container)
    }

    /// Kills a container of a pod with SIGKILL, as the kernel does that has no memory left.
    pub fn kill(&self, namespace: &str, pod: &str, container: &str) -> Result<()> {
        let pod = self.get(&format!("pod {pod} --namespace {namespace}"))?;
        let node = pod["spec"]["nodeName"].as_str().context("the pod is nowhere")?;
        let id = id(&pod, container).with_context(|| format!("no container {container} runs"))?;
        let kill = ["exec", node, "ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id];
        tools::output(Command::new("docker").args(kill)).map(|_| ())
    }
}

/// The container's name in containerd.
fn id<'a>(pod: &'a Value, container: &str) -> Option<&'a str> {
    let kinds = ["containerStatuses", "initContainerStatuses"].map(|kind| pod["status"][kind].as_array());
    let status = kinds.into_iter().flatten().flatten().find(|status| status["name"] == container)?;
    status["containerID"].as_str()?.strip_prefix("containerd://")
}
