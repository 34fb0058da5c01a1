//! A namespace that is deleted with all that is in it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::kube::Kube;
use crate::kube::fixture::{CLIENT, under_load};
use crate::story::eventually;

const OBJECTS: &str = "e2e/yaml/kube/short-lived.yaml";
const URL: &str = "http://web.short-lived.svc.cluster.local:9080/details/0";
/// What is made or removed is known to every proxy sooner.
const KNOWN: Duration = Duration::from_secs(30);

pub(super) fn deleted(kube: &Kube) -> Result<String> {
    kube.apply(OBJECTS)?;
    kube.wait_rolled_out("short-lived", "deployment/web")?;
    eventually(KNOWN, || kube.ask_from(CLIENT.0, CLIENT.1, URL).map(|_| ()))?;
    let root = kube.get("configmap istio-ca-root-cert --namespace short-lived")?;
    ensure!(root["data"]["root-cert.pem"].is_string(), "the mesh's root was not told: {root}");
    let start = Instant::now();
    let tally = under_load(kube, || kube.delete(OBJECTS).map(|_| ()))?;
    let took = start.elapsed();
    Ok(format!(
        "it was gone after {:.1} s, and others did not notice: {}",
        took.as_secs_f64(),
        tally.without_failure()?
    ))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.delete(OBJECTS).map(|_| ())
}
