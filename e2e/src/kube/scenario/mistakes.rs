//! Mistakes are refused where they are made, with the right word; what is right flows, and says how far it has come.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::kube::fixture::{CLIENT, ECHO, SHOP, under_load};
use crate::kube::{Kube, PATIENCE};

const GROUP: &str = "e2e/yaml/kube/misspelt-group.yaml";
const CHART: &str = "e2e/charts/mistaken";
const FIELD: &str = "e2e/charts/mistaken/templates/virtualservice.yaml";
const GOOD: &str = "e2e/yaml/kube/header.yaml";

pub(super) fn refused(kube: &Kube) -> Result<String> {
    let tally = under_load(kube, || {
        refused_for(kube.apply(GROUP), "write apiVersion: networking.istio.io/v1alpha3")?;
        let word = "url: unknown field; did you mean `uri`?";
        refused_for(kube.apply(FIELD), word)?;
        refused_for(kube.helm(&format!("install mistake {CHART} --namespace {SHOP}")), word)?;
        let stored = kube.kubectl(&format!("get virtualservices,gateways --namespace {SHOP} --output name"))?;
        ensure!(!stored.contains("mistake"), "a mistake was stored: {stored}");
        Ok(())
    })?;
    let known = known(kube)?;
    Ok(format!(
        "kubectl and helm refused the mistakes with the right word; {known}; meanwhile {}",
        tally.without_failure()?
    ))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.helm(&format!("uninstall mistake --namespace {SHOP} --ignore-not-found"))?;
    kube.delete(GOOD).map(|_| ())
}

fn refused_for(outcome: Result<String>, word: &str) -> Result<()> {
    match outcome {
        Ok(said) => bail!("a mistake was taken: {said}"),
        Err(error) => {
            let said = format!("{error:#}");
            ensure!(said.contains(word), "a mistake was refused, without {word:?}: {said}");
            Ok(())
        }
    }
}

/// Who waits for the status to say that all proxies have an object finds it in force.
fn known(kube: &Kube) -> Result<String> {
    kube.apply(GOOD)?;
    let took = wait_everywhere(kube, "header")?;
    let echo = kube.ask_from(CLIENT.0, CLIENT.1, ECHO)?;
    ensure!(echo["headers"]["x-generation"] == "1", "the status said that all proxies have it: {echo}");
    let shown = kube.kubectl(&format!("get virtualservice header --namespace {SHOP} --no-headers"))?;
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(format!("kubectl waited {:.1} s for a good one and shows {shown:?}", took.as_secs_f64()))
}

/// Waits until an object of the shop is known to every proxy that needs it; returns how long that took.
pub(super) fn wait_everywhere(kube: &Kube, virtual_service: &str) -> Result<Duration> {
    let start = Instant::now();
    let wait = format!("wait --for condition=Reconciled virtualservice/{virtual_service} --namespace {SHOP}");
    kube.kubectl(&format!("{wait} --timeout {PATIENCE}"))?;
    Ok(start.elapsed())
}
