//! Zones, of which the suite's own cluster has one a node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::kube::fixture::{CLIENT, SHOP};
use crate::kube::{Kube, Load};
use crate::story::eventually;

/// For the zones `NEAR` and `FAR`.
const OBJECTS: &str = include_str!("../../../yaml/kube/locality.yaml");
const ZONE: &str = "topology.kubernetes.io/zone";
const URL: &str = "http://zones.shop.svc.cluster.local:9080/details/0";
/// Whatever is configured is live sooner.
const LIVE: Duration = Duration::from_secs(30);
const CALLS: &str = "100";

pub(super) fn fail_over(kube: &Kube) -> Result<String> {
    let own = zone_of_the_client(kube)?;
    let Some(other) = zones(kube)?.into_iter().find(|zone| *zone != own) else {
        return Ok("SKIPPED: all nodes are in one zone".to_owned());
    };
    kube.kubectl_reads("apply --filename -", &OBJECTS.replace("NEAR", &own).replace("FAR", &other))?;
    [&own, &other].into_iter().try_for_each(|zone| kube.wait_rolled_out(SHOP, &format!("deployment/{zone}")))?;
    eventually(LIVE, || all_in(kube, &own))?;
    let load = Load::start(kube, CLIENT, "POST", &URL.replace("/details/0", "/echo"))?;
    kube.kubectl(&format!("scale --namespace {SHOP} deployment/{own} --replicas 0"))?;
    let away = eventually(LIVE, || all_in(kube, &other))?;
    kube.kubectl(&format!("scale --namespace {SHOP} deployment/{own} --replicas 1"))?;
    kube.wait_rolled_out(SHOP, &format!("deployment/{own}"))?;
    eventually(LIVE, || all_in(kube, &own))?;
    Ok(format!(
        "{CALLS} of {CALLS} calls stayed in {own}; {:.1} s after its instance was told to end all went to {other}, and all \
         came back with a new one; {}",
        away.as_secs_f64(),
        load.stop()?.without_failure()?,
    ))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.kubectl(&format!("delete deployments --namespace {SHOP} --selector app=zones"))?;
    kube.kubectl(&format!("delete service,destinationrule zones --namespace {SHOP} --ignore-not-found")).map(|_| ())
}

fn zones(kube: &Kube) -> Result<BTreeSet<String>> {
    let nodes = kube.get("nodes")?;
    let each = nodes["items"].as_array().into_iter().flatten();
    Ok(each.filter_map(|node| node["metadata"]["labels"][ZONE].as_str().map(str::to_owned)).collect())
}

fn zone_of_the_client(kube: &Kube) -> Result<String> {
    let client = kube.pods(SHOP, "app=client")?;
    let node = client.iter().find_map(|pod| pod["spec"]["nodeName"].as_str()).context("the client is nowhere")?;
    let node = kube.get(&format!("node {node}"))?;
    let zone = node["metadata"]["labels"][ZONE].as_str();
    Ok(zone.context("the client's node is in no zone")?.to_owned())
}

/// Fails unless a number of calls are all answered from one zone.
fn all_in(kube: &Kube, zone: &str) -> Result<()> {
    let mut zones = BTreeMap::<_, usize>::new();
    for answer in kube.calls_from(CLIENT, &["--answers", "--times", CALLS, URL])? {
        let answer: Value = serde_json::from_str(answer["text"].as_str().unwrap_or_default()).unwrap_or_default();
        *zones.entry(answer["version"].as_str().unwrap_or("nobody").to_owned()).or_default() += 1;
    }
    ensure!(zones.get(zone).map(usize::to_string).as_deref() == Some(CALLS), "not all in {zone}: {zones:?}");
    Ok(())
}
