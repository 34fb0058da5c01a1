//! Instances that come and go under load: nothing is lost, and nobody turned a knob for it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::kube::fixture::{SHOP, under_load};
use crate::kube::{Kube, PATIENCE};
use crate::story::eventually;

const WEB_PODS: &str = "app=web";
/// Longer than a pod is given to end.
const ENDED: Duration = Duration::from_secs(60);

pub(super) fn update(kube: &Kube) -> Result<String> {
    let before = kube.pod_names(SHOP, WEB_PODS)?;
    let tally = under_load(kube, || {
        kube.kubectl(&format!("rollout restart --namespace {SHOP} deployment/web"))?;
        kube.wait_rolled_out(SHOP, "deployment/web")?;
        kube.wait_gone(SHOP, WEB_PODS, &before)
    })?;
    Ok(format!("{} pods were replaced; {}", before.len(), tally.without_failure()?))
}

pub(super) fn scale_down(kube: &Kube) -> Result<String> {
    scale(kube, 4)?;
    kube.wait_rolled_out(SHOP, "deployment/web")?;
    let tally = under_load(kube, || {
        scale(kube, 1)?;
        eventually(ENDED, || {
            let left = kube.pod_names(SHOP, WEB_PODS)?.len();
            ensure!(left == 1, "{left} pods are left");
            Ok(())
        })
        .map(|_| ())
    })?;
    Ok(format!("3 of 4 pods were taken away; {}", tally.without_failure()?))
}

/// Two instances again.
pub(super) fn restore(kube: &Kube) -> Result<()> {
    scale(kube, 2)?;
    kube.wait_rolled_out(SHOP, "deployment/web")
}

pub(super) fn drain(kube: &Kube) -> Result<String> {
    let (own, other) = nodes(kube)?;
    let before = names_on(kube, &other)?;
    ensure!(!before.is_empty(), "no instance is on {other}");
    let tally = under_load(kube, || {
        kube.kubectl(&format!("drain {other} --ignore-daemonsets --delete-emptydir-data --timeout {PATIENCE}"))?;
        kube.wait_gone(SHOP, WEB_PODS, &before)?;
        kube.wait_rolled_out(SHOP, "deployment/web")
    })?;
    let moved = names_on(kube, &own)?;
    ensure!(moved.len() == 2, "on {own} are {moved:?}");
    Ok(format!("{other} was emptied, of {} of 2 instances too; {}", before.len(), tally.without_failure()?))
}

/// Every node takes pods again, and each has one instance.
pub(super) fn restore_nodes(kube: &Kube) -> Result<()> {
    for node in kube.get("nodes")?["items"].as_array().into_iter().flatten() {
        kube.kubectl(&format!("uncordon {}", node["metadata"]["name"].as_str().unwrap_or_default()))?;
    }
    kube.kubectl(&format!("rollout restart --namespace {SHOP} deployment/web"))?;
    kube.wait_rolled_out(SHOP, "deployment/web")
}

fn scale(kube: &Kube, replicas: u32) -> Result<()> {
    kube.kubectl(&format!("scale --namespace {SHOP} deployment/web --replicas {replicas}")).map(|_| ())
}

/// The client's node, and the other one.
fn nodes(kube: &Kube) -> Result<(String, String)> {
    let client = kube.pods(SHOP, "app=client")?;
    let own = client.iter().find_map(|pod| pod["spec"]["nodeName"].as_str()).context("the client is nowhere")?;
    let nodes = kube.get("nodes")?;
    let names = nodes["items"].as_array().into_iter().flatten().filter_map(|node| node["metadata"]["name"].as_str());
    let other = names.into_iter().find(|name| *name != own).context("there is one node only")?;
    Ok((own.to_owned(), other.to_owned()))
}

fn names_on(kube: &Kube, node: &str) -> Result<Vec<String>> {
    let pods = kube.pods(SHOP, WEB_PODS)?;
    let there = pods.iter().filter(|pod| pod["spec"]["nodeName"] == node);
    Ok(there.filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect())
}
