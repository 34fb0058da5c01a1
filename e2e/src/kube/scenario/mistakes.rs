//! Mistakes are refused where they are made, with the right word; what is right flows, and says how far it has come.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::rolling::{WEB_ECHO, under_load};
use crate::kube::fixture::{CLIENT, SHOP};
use crate::kube::{Kube, PATIENCE};

const GOOD: &str = "e2e/yaml/kube/header.yaml";

pub(super) fn refused(kube: &Kube) -> Result<String> {
    let tally = under_load(kube, || {
        refuses(kube, "e2e/yaml/kube/misspelt-group.yaml", "write apiVersion: networking.istio.io/v1alpha3")?;
        refuses(kube, "e2e/yaml/kube/misspelt-field.yaml", "url: unknown field; did you mean `uri`?")?;
        let stored = kube.kubectl(&format!("get virtualservices,gateways --namespace {SHOP} --output name"))?;
        ensure!(!stored.contains("mistake"), "a mistake was stored: {stored}");
        Ok(())
    })?;
    let known = known(kube)?;
    Ok(format!("both mistakes were refused with the right word; {known}; meanwhile {}", tally.without_failure()?))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.delete(GOOD).map(|_| ())
}

fn refuses(kube: &Kube, file: &str, word: &str) -> Result<()> {
    match kube.apply(file) {
        Ok(said) => bail!("{file} was taken: {said}"),
        Err(error) => {
            let said = format!("{error:#}");
            ensure!(said.contains(word), "{file} was refused, without {word:?}: {said}");
            Ok(())
        }
    }
}

/// Who waits for the status to say that all proxies have an object finds it in force.
fn known(kube: &Kube) -> Result<String> {
    kube.apply(GOOD)?;
    let took = wait_everywhere(kube, "header")?;
    let echo = kube.ask_from(CLIENT.0, CLIENT.1, WEB_ECHO)?;
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
