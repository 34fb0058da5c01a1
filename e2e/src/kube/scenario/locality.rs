//! Zones: each of the cluster's two nodes is in one of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::rolling::{WEB_PODS, names_on, nodes, restore_nodes};
use crate::kube::Kube;
use crate::kube::fixture::{CLIENT, SHOP, WEB, under_load};
use crate::story::eventually;

const OBJECT: &str = "e2e/yaml/kube/locality.yaml";
/// Whatever is configured is live sooner.
const LIVE: Duration = Duration::from_secs(30);
const CALLS: &str = "100";

pub(super) fn fail_over(kube: &Kube) -> Result<String> {
    let (own, other) = nodes(kube)?;
    let nearby = names_on(kube, &own)?;
    ensure!(nearby.len() == 1, "on {own} are {nearby:?}");
    ensure!(answering(kube)?.len() == 2, "without a rule one zone gets all calls");
    kube.apply(OBJECT)?;
    let live = eventually(LIVE, || all_answered_by(kube, &nearby))?;
    let tally = under_load(kube, || {
        kube.kubectl(&format!("cordon {own}"))?;
        kube.kubectl(&format!("delete pod {} --namespace {SHOP}", nearby[0]))?;
        kube.wait_gone(SHOP, WEB_PODS, &nearby)?;
        kube.wait_rolled_out(SHOP, "deployment/web")?;
        let elsewhere = names_on(kube, &other)?;
        eventually(LIVE, || all_answered_by(kube, &elsewhere)).map(|_| ())
    })?;
    Ok(format!(
        "{CALLS} of {CALLS} calls stayed on {own}, {:.1} s after the rule; once its instance was gone all went to {other}; {}",
        live.as_secs_f64(),
        tally.without_failure()?,
    ))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.delete(OBJECT)?;
    restore_nodes(kube)
}

fn all_answered_by(kube: &Kube, pods: &[String]) -> Result<()> {
    let answering = answering(kube)?;
    ensure!(answering.iter().all(|pod| pods.contains(pod)), "{answering:?} answer, not {pods:?}");
    Ok(())
}

/// The pods that answered a number of calls.
fn answering(kube: &Kube) -> Result<BTreeSet<String>> {
    let answers = kube.calls_from(CLIENT, &["--answers", "--times", CALLS, WEB])?;
    let pod = |text: &str| Some(serde_json::from_str::<serde_json::Value>(text).ok()?["pod"].as_str()?.to_owned());
    let pods: Vec<_> = answers.iter().filter_map(|answer| pod(answer["text"].as_str()?)).collect();
    ensure!(pods.len().to_string() == CALLS, "only {} of {CALLS} calls were answered", pods.len());
    Ok(pods.into_iter().collect())
}
