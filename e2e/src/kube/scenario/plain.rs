//! The cluster itself: what fails here is not the mesh's fault.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::kube::{Kube, get_from_outside};
use crate::shop::PORT;
use crate::story::eventually;

const OBJECTS: &str = "e2e/yaml/kube/plain.yaml";
const NAMESPACE: &str = "plain";
/// As in the objects.
const NODE_PORT: u16 = 30080;

/// A Service is in force on every node sooner.
const KNOWN: Duration = Duration::from_secs(30);

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.delete(OBJECTS).map(|_| ())
}

pub(super) fn cluster(kube: &Kube) -> Result<String> {
    kube.apply(OBJECTS)?;
    kube.wait_rolled_out(NAMESPACE, "deployment/web")?;
    let pods = kube.pods(NAMESPACE, "app=web")?;
    let nodes: BTreeSet<_> = pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
    ensure!(nodes.len() == 2, "the pods are all on {nodes:?}");

    let host = format!("http://web.{NAMESPACE}.svc.cluster.local:{PORT}/details/0");
    let known = eventually(KNOWN, || {
        let first = kube.call_from(NAMESPACE, "deployment/web", &[&host])?;
        ensure!(first["succeeded"] == 1, "{first}");
        Ok(())
    })?;
    let by_name = kube.call_from(NAMESPACE, "deployment/web", &["--times", "200", &host])?;
    ensure!(by_name["succeeded"] == 200, "by name: {by_name}");
    for pod in &pods {
        let from = pod["metadata"]["name"].as_str().context("a pod has no name")?;
        for other in &pods {
            let ip = other["status"]["podIP"].as_str().context("a pod has no address")?;
            let url = format!("http://{ip}:{PORT}/details/0");
            let by_address = kube.call_from(NAMESPACE, from, &[&url])?;
            ensure!(by_address["succeeded"] == 1, "from {from} to {ip}: {by_address}");
        }
    }
    let addresses = kube.node_addresses()?;
    for address in &addresses {
        get_from_outside(*address, NODE_PORT, "web", "/details/0")?;
    }
    Ok(format!(
        "{} pods on {} nodes; known to the node's kube-proxy after {:.1} s; 200 of 200 calls by name; every pod reached \
         every pod; {} node ports answered",
        pods.len(),
        nodes.len(),
        known.as_secs_f64(),
        addresses.len(),
    ))
}
