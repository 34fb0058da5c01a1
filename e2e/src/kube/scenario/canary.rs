//! A second control plane beside the first: a namespace moves to it and back, under load.

use anyhow::{Result, ensure};

use crate::kube::fixture::{SHOP, under_load};
use crate::kube::{Kube, PATIENCE};

pub(super) fn there_and_back(kube: &Kube) -> Result<String> {
    let tally = under_load(kube, || {
        let install = "install istiod-canary charts/istiod -n istio-system --set revision=canary --wait --timeout";
        kube.helm(&format!("{install} {PATIENCE}"))?;
        label(kube, "istio.io/rev=canary istio-injection-")?;
        restart(kube, "canary")?;
        label(kube, "istio-injection=enabled istio.io/rev-")?;
        restart(kube, "default")?;
        uninstall(kube)
    })?;
    Ok(format!("both instances went to the other revision and came back; {}", tally.without_failure()?))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    label(kube, "istio-injection=enabled istio.io/rev-")?;
    uninstall(kube)
}

fn label(kube: &Kube, labels: &str) -> Result<()> {
    kube.kubectl(&format!("label namespace {SHOP} --overwrite {labels}")).map(|_| ())
}

/// Makes the instances anew, and looks which revision they belong to.
fn restart(kube: &Kube, revision: &str) -> Result<()> {
    kube.kubectl(&format!("rollout restart --namespace {SHOP} deployment/web"))?;
    kube.wait_rolled_out(SHOP, "deployment/web")?;
    let pods = kube.pods(SHOP, "app=web")?;
    let living = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    for pod in living {
        let annotations = &pod["metadata"]["annotations"];
        ensure!(annotations["istio.io/rev"] == revision, "a new pod says {annotations}, expected was {revision}");
    }
    Ok(())
}

fn uninstall(kube: &Kube) -> Result<()> {
    kube.helm("uninstall istiod-canary -n istio-system --wait --ignore-not-found").map(|_| ())
}
