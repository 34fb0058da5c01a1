//! Kubernetes' own way to be reached from outside, through the gateway that Istio's defaults name.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::edge::{answers, key, node_port};
use crate::client::{Call, Tls};
use crate::kube::keys::Authority;
use crate::kube::{Kube, PATIENCE};
use crate::story::eventually;

/// Where Istio looks for the gateway of Ingresses, and its name.
const NAMESPACE: &str = "istio-system";
const GATEWAY: &str = "istio-ingressgateway";
const OBJECTS: &str = "e2e/yaml/kube/ingress.yaml";
const HOST: &str = "ingress.example.com";
/// An address that is nobody's (RFC 5737): it is only shown.
const ADDRESS: &str = "192.0.2.10";
/// Whatever is configured is live sooner.
const LIVE: Duration = Duration::from_secs(30);

pub(super) fn served(kube: &Kube) -> Result<String> {
    let authority = Authority::new()?;
    // The cluster's balancer gives every Service the same addresses, of which another gateway has the ports.
    let install = format!("upgrade --install {GATEWAY} charts/gateway -n {NAMESPACE} --set service.type=NodePort");
    kube.helm(&format!("{install} --wait --timeout {PATIENCE}"))?;
    key(kube, NAMESPACE, "ingress", &authority, HOST)?;
    kube.apply(OBJECTS)?;

    let http = node_port(kube, NAMESPACE, GATEWAY, "http2")?;
    let https = node_port(kube, NAMESPACE, GATEWAY, "https")?;
    let live = eventually(LIVE, || answers(&Call::get(http, HOST, "/details/0")))?;
    let other = Call::get(http, HOST, "/detailsx/0").from_here()?.status;
    ensure!(other == 404, "a path that only begins alike answers {other}");
    let trusting = Tls::trusting(&authority.root_pem())?;
    eventually(LIVE, || answers(&Call::get(https, HOST, "/details/0").over(&trusting)))?;

    let patch = json!({ "spec": { "externalIPs": [ADDRESS] } }).to_string();
    kube.kubectl_with(&["patch", "service", GATEWAY, "--namespace", NAMESPACE, "--patch", &patch])?;
    let told = eventually(LIVE, || {
        let ingress = kube.get("ingress shop --namespace shop")?;
        let status = &ingress["status"]["loadBalancer"]["ingress"];
        ensure!(*status == json!([{ "ip": ADDRESS }]), "the status says {status}");
        Ok(())
    })?;
    Ok(format!(
        "answered after {:.1} s, over TLS too; its status had the gateway's address after {:.1} s",
        live.as_secs_f64(),
        told.as_secs_f64(),
    ))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.delete(OBJECTS)?;
    kube.kubectl(&format!("delete secret ingress --namespace {NAMESPACE} --ignore-not-found"))?;
    kube.helm(&format!("uninstall {GATEWAY} -n {NAMESPACE} --wait --ignore-not-found")).map(|_| ())
}
