//! The user's path, word for word, and back.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::kube::{Balancer, Kube};

/// The namespaces and the charts in them, in the order of their installation.
const RELEASES: [(&str, &str); 3] =
    [("istio-base", "istio-system"), ("istiod", "istio-system"), ("istio-ingress", "istio-ingress")];

/// Whether somebody has walked the path.
pub(in crate::kube) fn are_installed(kube: &Kube) -> bool {
    RELEASES.iter().all(|(name, namespace)| kube.helm(&format!("status {name} -n {namespace}")).is_ok())
}

pub(in crate::kube) fn install(kube: &Kube) -> Result<String> {
    remove(kube)?;
    let _balancer = Balancer::start(kube);
    let start = Instant::now();
    kube.kubectl("create namespace istio-system")?;
    kube.helm("install istio-base charts/base -n istio-system --set defaultRevision=default")?;
    let list = kube.helm("ls -n istio-system")?;
    ensure!(list.contains("istio-base") && list.contains("deployed"), "helm ls says\n{list}");
    kube.helm("install istiod charts/istiod -n istio-system --wait")?;
    let control_plane = start.elapsed();
    let status = kube.helm("status istiod -n istio-system")?;
    ensure!(status.contains("STATUS: deployed"), "helm status says\n{status}");
    let deployments = kube.kubectl("get deployments -n istio-system --output wide")?;
    ensure!(deployments.contains("istiod"), "there is no deployment of istiod:\n{deployments}");
    kube.kubectl("create namespace istio-ingress")?;
    kube.helm(concat!(
        "install istio-ingress charts/gateway -n istio-ingress --wait ",
        r"--set service.annotations.service\.beta\.kubernetes\.io/aws-load-balancer-scheme=internet-facing,",
        r"service.annotations.alb\.ingress\.kubernetes\.io/target-type=ip",
    ))?;
    kube.kubectl("label namespace default istio-injection=enabled --overwrite")?;
    let annotations = &kube.get("service istio-ingress -n istio-ingress")?["metadata"]["annotations"];
    ensure!(
        annotations["alb.ingress.kubernetes.io/target-type"] == "ip",
        "the gateway's Service has the annotations {annotations}",
    );
    Ok(format!(
        "the control plane was ready after {:.1} s, the gateway after {:.1} s",
        control_plane.as_secs_f64(),
        start.elapsed().as_secs_f64(),
    ))
}

/// Waits until every replica of istiod serves.
pub(super) fn wait_ready(kube: &Kube) -> Result<()> {
    kube.wait_rolled_out("istio-system", "deployment/istiod")
}

pub(super) fn uninstall(kube: &Kube) -> Result<String> {
    for (name, namespace) in RELEASES.iter().rev() {
        kube.helm(&format!("uninstall {name} -n {namespace} --wait"))?;
    }
    let definitions = kube.kubectl("get customresourcedefinitions --output name")?;
    let ours = definitions.lines().filter(|name| name.ends_with(".istio.io")).count();
    ensure!(ours > 0, "the definitions went with the chart");
    let left = kube.kubectl(concat!(
        "get mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,clusterrolebindings ",
        "--output name",
    ))?;
    let left: Vec<&str> = left.lines().filter(|name| name.contains("istio")).collect();
    ensure!(left.is_empty(), "these were left behind: {left:?}");
    remove(kube)?;
    Ok(format!("{ours} definitions of Istio's kinds stayed, nothing else did"))
}

/// Removes whatever an earlier walk left, so that the path begins on a cluster that knows nothing of a mesh.
pub(super) fn remove(kube: &Kube) -> Result<()> {
    for (name, namespace) in RELEASES.iter().rev() {
        kube.helm(&format!("uninstall {name} -n {namespace} --wait --ignore-not-found"))?;
    }
    kube.kubectl("delete namespace istio-ingress istio-system --ignore-not-found")?;
    kube.kubectl("label namespace default istio-injection-")?;
    let definitions = kube.kubectl("get customresourcedefinitions --output name")?;
    let ours: Vec<&str> = definitions.lines().filter(|name| name.ends_with(".istio.io")).collect();
    if !ours.is_empty() {
        kube.kubectl_with(&[&["delete"], ours.as_slice()].concat()).context("removing the definitions")?;
    }
    Ok(())
}
