//! Zones: each of the cluster's two nodes is in one of its own, `here-a` and `here-b`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::kube::fixture::{CLIENT, SHOP};
use crate::kube::{Kube, Load};
use crate::story::eventually;

const OBJECTS: &str = "e2e/yaml/kube/locality.yaml";
const URL: &str = "http://zones.shop.svc.cluster.local:9080/details/0";
/// Whatever is configured is live sooner.
const LIVE: Duration = Duration::from_secs(30);
const CALLS: &str = "100";

pub(super) fn fail_over(kube: &Kube) -> Result<String> {
    kube.apply(OBJECTS)?;
    let zones = ["here-a", "here-b"];
    zones.iter().try_for_each(|zone| kube.wait_rolled_out(SHOP, &format!("deployment/{zone}")))?;
    let own = zone_of_the_client(kube)?;
    let other = zones.into_iter().find(|zone| *zone != own).context("there is no other zone")?;
    eventually(LIVE, || all_in(kube, &own))?;
    let load = Load::start(kube, CLIENT, "POST", &URL.replace("/details/0", "/echo"))?;
    kube.kubectl(&format!("scale --namespace {SHOP} deployment/{own} --replicas 0"))?;
    let away = eventually(LIVE, || all_in(kube, other))?;
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
    kube.delete(OBJECTS).map(|_| ())
}

fn zone_of_the_client(kube: &Kube) -> Result<String> {
    let client = kube.pods(SHOP, "app=client")?;
    let node = client.iter().find_map(|pod| pod["spec"]["nodeName"].as_str()).context("the client is nowhere")?;
    let node = kube.get(&format!("node {node}"))?;
    let zone = node["metadata"]["labels"]["topology.kubernetes.io/zone"].as_str();
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
