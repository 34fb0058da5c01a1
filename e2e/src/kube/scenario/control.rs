//! The control plane comes and goes: traffic goes on, and what was changed meanwhile is made up for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::charts::wait_ready;
use super::mistakes::wait_everywhere;
use crate::client::{Call, Load};
use crate::kube::fixture::{CLIENT, ECHO, SHOP, under_load};
use crate::kube::{Kube, PATIENCE};
use crate::story::eventually;

const OBJECT: &str = "e2e/yaml/kube/header.yaml";
/// A killed API server is back sooner.
const BACK: Duration = Duration::from_secs(120);

pub(super) fn istiod(kube: &Kube) -> Result<String> {
    kube.apply(OBJECT)?;
    let mut took = Duration::ZERO;
    let tally = under_load(kube, || {
        kill_istiod(kube, 0)?;
        wait_ready(kube)?;
        patch(kube, 2)?;
        // Proxies that have not come back yet count as ones that do not have it.
        took = wait_everywhere(kube, "header")?;
        in_force(kube, 2)
    })?;
    Ok(format!(
        "a change made after its return was everywhere, and said to be, after {:.1} s; {}",
        took.as_secs_f64(),
        tally.without_failure()?,
    ))
}

pub(super) fn replicas(kube: &Kube) -> Result<String> {
    kube.apply(OBJECT)?;

    let mut took = Vec::new();
    let mut known = Duration::ZERO;
    let tally = under_load(kube, || {
        scale(kube, "--set autoscaleEnabled=false,replicaCount=2")?;
        for (index, generation) in [(0, 2), (1, 3)] {
            kill_istiod(kube, index)?;
            took.push(format!("{:.1} s", change(kube, generation)?.as_secs_f64()));
            wait_ready(kube)?;
        }
        patch(kube, 4)?;
        // The status is of the proxies of both.
        known = wait_everywhere(kube, "header")?;
        in_force(kube, 4)
    })?;
    Ok(format!(
        "with either replica killed, a change was in force after {}; with both back, one was said to be everywhere after \
         {:.1} s, and was; {}",
        took.join(" and "),
        known.as_secs_f64(),
        tally.without_failure()?,
    ))
}

/// One replica again.
pub(super) fn leave_replicas(kube: &Kube) -> Result<()> {
    scale(kube, "")?;
    leave(kube)
}

pub(super) fn api_server(kube: &Kube) -> Result<String> {
    if !kube.is_of_containers() {
        return Ok(super::UNKILLABLE.to_owned());
    }
    kube.apply(OBJECT)?;
    // Whoever calls from inside is called by way of the API server: this load comes from outside, by the gateway.
    super::gateway::open(kube)?;
    let call = Call::get(super::gateway::address(kube, 80)?, super::gateway::HOST, "/details/0");
    eventually(BACK, || {
        let status = call.from_here()?.status;
        ensure!(status.is_success(), "the gateway answers {status}");
        Ok(())
    })?;
    let load = Load::start_here(call, 100);
    let pods = kube.pods("kube-system", "component=kube-apiserver")?;
    let pod = pods.first().and_then(|pod| pod["metadata"]["name"].as_str()).context("no pod of the API server")?;
    kube.kill("kube-system", pod, "kube-apiserver")?;
    let away = eventually(BACK, || kube.kubectl("get --raw /readyz").map(|_| ()))?;
    let took = change(kube, 2)?;
    let tally = load.stop();
    Ok(format!(
        "it answered again after {:.1} s, and a change was in force {:.1} s later; {}",
        away.as_secs_f64(),
        took.as_secs_f64(),
        tally.without_failure()?,
    ))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    super::gateway::close(kube)?;
    kube.delete(OBJECT).map(|_| ())
}

/// Changes what every request of the shop carries, and waits until that is in force; returns how long that took.
fn change(kube: &Kube, generation: u32) -> Result<Duration> {
    patch(kube, generation)?;
    eventually(BACK, || in_force(kube, generation))
}

fn patch(kube: &Kube, generation: u32) -> Result<()> {
    let value = generation.to_string();
    let patch = json!([{ "op": "replace", "path": "/spec/http/0/headers/request/set/x-generation", "value": value }]);
    let patch = patch.to_string();
    let words = ["patch", "virtualservice", "header", "--namespace", SHOP, "--type", "json", "--patch", &patch];
    // The webhook of a control plane that has just come back may not be reached by every node yet.
    eventually(BACK, || kube.kubectl_with(&words).map(|_| ())).map(|_| ())
}

fn in_force(kube: &Kube, generation: u32) -> Result<()> {
    let echo = kube.ask_from(CLIENT.0, CLIENT.1, ECHO)?;
    let said = echo["headers"]["x-generation"].as_str().unwrap_or_default();
    ensure!(said.parse() == Ok(generation), "not {generation} yet: {echo}");
    Ok(())
}

fn kill_istiod(kube: &Kube, index: usize) -> Result<()> {
    let pods = kube.pods("istio-system", "app=istiod")?;
    let names: Vec<_> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    let name = names.get(index).with_context(|| format!("there are {} replicas", names.len()))?;
    kube.kubectl(&format!("delete pod {name} --namespace istio-system --grace-period 0 --force")).map(|_| ())
}

/// Upgrades the chart to so many replicas, or back to what it says itself.
fn scale(kube: &Kube, values: &str) -> Result<()> {
    kube.helm(&format!(
        "upgrade istiod charts/istiod -n istio-system --reset-values {values} --wait --timeout {PATIENCE}"
    ))?;
    wait_ready(kube)
}
