//! The gateway of the user's path: called from outside, by other scenarios too, and restarted.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::edge::answers;
use crate::client::{Call, Load, Tally};
use crate::kube::Kube;
use crate::story::eventually;

/// How the shop is called from outside.
pub(super) const HOST: &str = "shop.example.com";
const OBJECTS: &str = "e2e/yaml/kube/gateway.yaml";
const NAMESPACE: &str = "istio-ingress";
const PODS: &str = "istio=ingress";
/// Whatever is configured is live sooner.
const LIVE: Duration = Duration::from_secs(30);
/// Callers, each of which keeps its connection, and how often each calls in a second.
const CALLERS: usize = 8;
const PER_SECOND: u32 = 25;

/// Replaces the gateway's pods while callers from outside keep their connections, as load balancers do.
pub(super) fn restarted(kube: &Kube) -> Result<String> {
    open(kube)?;
    let call = Call::get(address(kube, 80)?, HOST, "/details/0");
    eventually(LIVE, || answers(&call))?;
    let before = kube.pod_names(NAMESPACE, PODS)?;
    ensure!(!before.is_empty(), "the gateway has no pod with {PODS}");
    let callers: Vec<_> = (0..CALLERS).map(|_| Load::start_here(call.clone(), PER_SECOND)).collect();
    eventually(LIVE, || {
        ensure!(callers.iter().all(|caller| caller.so_far().is_begun()), "not everybody calls");
        Ok(())
    })?;
    kube.kubectl(&format!("rollout restart --namespace {NAMESPACE} deployment/istio-ingress"))?;
    kube.wait_rolled_out(NAMESPACE, "deployment/istio-ingress")?;
    kube.wait_gone(NAMESPACE, PODS, &before)?;
    let tally = callers.into_iter().map(Load::stop).reduce(Tally::and).context("nobody calls")?;
    let said = tally.without_failure()?;
    ensure!(tally.connections > CALLERS, "nobody was moved to another pod");
    Ok(format!("{} pods were replaced; on {} connections {said}", before.len(), tally.connections))
}

/// Lets the shop be called from outside.
pub(super) fn open(kube: &Kube) -> Result<()> {
    kube.apply(OBJECTS).map(|_| ())
}

pub(super) fn close(kube: &Kube) -> Result<()> {
    kube.delete(OBJECTS).map(|_| ())
}

/// Where a port of the gateway is reached from outside.
pub(super) fn address(kube: &Kube, port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(kube.balanced_address(NAMESPACE, "istio-ingress")?, port))
}
