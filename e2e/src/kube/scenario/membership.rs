//! `membership-service`: a user's own chart, of a service that knows nothing of a mesh.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::client::{Call, Load};
use crate::kube::{Kube, PATIENCE, get_from_outside};
use crate::story::eventually;

const CHART: &str = "e2e/charts/membership-service";
const LABEL: &str = "app.kubernetes.io/name=membership-service";
const HOST: &str = "membership.example.com";
/// Whatever is configured is live sooner.
const LIVE: Duration = Duration::from_secs(30);

pub(super) fn serve(kube: &Kube) -> Result<String> {
    kube.helm(&format!("upgrade --install membership-service {CHART} -n default --wait --timeout {PATIENCE}"))?;
    for pod in kube.pods("default", LABEL)? {
        check_containers(&pod)?;
    }
    let gateway = gateway(kube)?;
    let live = eventually(LIVE, || health(gateway).map(|_| ()))?;
    let peer = peer(gateway)?;
    ensure!(
        peer.contains("spiffe://cluster.local/ns/istio-ingress/sa/"),
        "the service was called by {peer:?}, not by the gateway's identity",
    );
    Ok(format!("answered through the gateway after {:.1} s; the service was called by {peer}", live.as_secs_f64()))
}

pub(super) fn upgrade(kube: &Kube) -> Result<String> {
    serve(kube)?;
    let before = kube.pod_names("default", LABEL)?;
    let call = Call::get(SocketAddr::new(gateway(kube)?, 80), HOST, "/actuator/health");
    let load = Load::start_here(call, 100);
    let upgrade = format!("upgrade membership-service {CHART} -n default --wait --timeout {PATIENCE} --set version=v2");
    kube.helm(&upgrade)?;
    kube.wait_gone("default", LABEL, &before)?;
    let tally = load.stop();
    Ok(format!("{} pods were replaced; {}", before.len(), tally.without_failure()?))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.helm("uninstall membership-service -n default --wait --ignore-not-found").map(|_| ())
}

/// Where the gateway is reached from outside.
fn gateway(kube: &Kube) -> Result<IpAddr> {
    kube.balanced_address("istio-ingress", "istio-ingress")
}

fn health(gateway: IpAddr) -> Result<Value> {
    let answer = get_from_outside(gateway, 80, HOST, "/actuator/health")?.json();
    ensure!(answer["status"] == "UP", "/actuator/health says {answer}");
    Ok(answer)
}

/// Who called the service, as its proxy tells it.
fn peer(gateway: IpAddr) -> Result<String> {
    let echo = get_from_outside(gateway, 80, HOST, "/echo")?.json();
    Ok(echo["headers"]["x-forwarded-client-cert"].as_str().unwrap_or_default().to_owned())
}

/// The application is there as it was, and beside it what the injector adds; the proxy may be either kind of container.
fn check_containers(pod: &Value) -> Result<()> {
    let names = |kind: &str| -> Vec<String> {
        let containers = pod["spec"][kind].as_array().into_iter().flatten();
        containers.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
    };
    let (before, beside) = (names("initContainers"), names("containers"));
    ensure!(before.iter().any(|name| name == "istio-init"), "no istio-init among {before:?}");
    ensure!(beside.iter().any(|name| name == "app"), "no application among {beside:?}");
    ensure!(before.iter().chain(&beside).any(|name| name == "istio-proxy"), "no istio-proxy: {before:?}, {beside:?}");
    Ok(())
}
