//! From a shop that anybody may call to one that only the mesh may, while it is called.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::kube::Kube;
use crate::kube::fixture::{SHOP, WEB, under_load};
use crate::story::eventually;

const POLICY: &str = "e2e/yaml/kube/strict.yaml";
/// Pods outside of the mesh.
const OUTSIDE: &str = "e2e/yaml/kube/plain.yaml";
const STRANGER: (&str, &str) = ("plain", "deployment/web");
/// A policy is in force sooner.
const LIVE: Duration = Duration::from_secs(30);

pub(super) fn strict(kube: &Kube) -> Result<String> {
    kube.apply(OUTSIDE)?;
    kube.wait_rolled_out(STRANGER.0, STRANGER.1)?;
    let (answered, refused) = answers_to_stranger(kube)?;
    ensure!(refused == 0, "a stranger had {answered} answers and {refused} refusals before there was a policy");

    let mut live = Duration::ZERO;
    let tally = under_load(kube, || {
        kube.apply(POLICY)?;
        live = eventually(LIVE, || {
            let (answered, refused) = answers_to_stranger(kube)?;
            ensure!(answered == 0, "a stranger had {answered} answers and {refused} refusals");
            Ok(())
        })?;
        // Kubelets have no certificate either: new pods become ready only because the injector rewrites their probes.
        kube.kubectl(&format!("rollout restart --namespace {SHOP} deployment/web"))?;
        kube.wait_rolled_out(SHOP, "deployment/web")
    })?;
    Ok(format!(
        "strangers were refused after {:.1} s; members: {}; new pods became ready",
        live.as_secs_f64(),
        tally.without_failure()?,
    ))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.delete(POLICY)?;
    kube.delete(OUTSIDE).map(|_| ())
}

/// How many of a stranger's calls are answered, and how many refused.
fn answers_to_stranger(kube: &Kube) -> Result<(u64, usize)> {
    let told = kube.call_from(STRANGER.0, STRANGER.1, &["--times", "10", WEB])?;
    Ok((told["succeeded"].as_u64().unwrap_or_default(), told["failures"].as_array().map_or(0, Vec::len)))
}
