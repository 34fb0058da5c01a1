//! What is broken heals, and lets nothing past meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::kube::Kube;
use crate::kube::fixture::{CLIENT, SHOP, WEB};
use crate::story::eventually;

const STRICT: &str = "e2e/yaml/kube/strict.yaml";
const OUTSIDE: &str = "e2e/yaml/kube/plain.yaml";
const STRANGER: (&str, &str) = ("plain", "deployment/web");
/// A container that ended is started again sooner.
const HEALED: Duration = Duration::from_secs(60);

/// The proxy of every instance is killed; a stranger keeps knocking.
pub(super) fn proxy_killed(kube: &Kube) -> Result<String> {
    if !kube.is_of_containers() {
        return Ok(super::UNKILLABLE.to_owned());
    }
    kube.apply(OUTSIDE)?;
    kube.apply(STRICT)?;
    kube.wait_rolled_out(STRANGER.0, STRANGER.1)?;
    eventually(HEALED, || stranger(kube).map(|_| ()))?;
    let pods = kube.pods(SHOP, "app=web")?;
    let mut knocked = 0;
    for pod in pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()) {
        kube.kill(SHOP, pod, "istio-proxy")?;
        knocked += stranger(kube)?;
    }
    let healed = eventually(HEALED, || {
        knocked += stranger(kube)?;
        let told = kube.call_from(CLIENT.0, CLIENT.1, &["--times", "20", WEB])?;
        ensure!(told["succeeded"] == 20, "{told}");
        Ok(())
    })?;
    let restarts: u64 = kube.pods(SHOP, "app=web")?.iter().map(|pod| restarts(pod).unwrap_or_default()).sum();
    ensure!(restarts >= pods.len() as u64, "only {restarts} proxies were started again");
    Ok(format!(
        "{} proxies were killed, and all was well after {:.1} s; of a stranger's {knocked} calls meanwhile none passed",
        pods.len(),
        healed.as_secs_f64(),
    ))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.delete(STRICT)?;
    kube.delete(OUTSIDE).map(|_| ())
}

/// How often a stranger knocked; fails if anybody answered.
fn stranger(kube: &Kube) -> Result<u64> {
    let told = kube.call_from(STRANGER.0, STRANGER.1, &["--times", "20", WEB])?;
    ensure!(told["succeeded"] == 0, "a stranger was answered: {told}");
    Ok(20)
}

fn restarts(pod: &serde_json::Value) -> Result<u64> {
    let kinds = ["initContainerStatuses", "containerStatuses"].map(|kind| pod["status"][kind].as_array());
    let proxy = kinds.into_iter().flatten().flatten().find(|status| status["name"] == "istio-proxy");
    proxy.context("no proxy")?["restartCount"].as_u64().context("no count")
}
