//! The gateway of the user's path, as other scenarios use it to call from outside.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};

use crate::kube::Kube;

/// How the shop is called from outside.
pub(super) const HOST: &str = "shop.example.com";
const OBJECTS: &str = "e2e/yaml/kube/gateway.yaml";

/// Lets the shop be called from outside.
pub(super) fn open(kube: &Kube) -> Result<()> {
    kube.apply(OBJECTS).map(|_| ())
}

pub(super) fn close(kube: &Kube) -> Result<()> {
    kube.delete(OBJECTS).map(|_| ())
}

/// Where a port of the gateway is reached from outside.
pub(super) fn address(kube: &Kube, port: u16) -> Result<SocketAddr> {
    let service = kube.get("service istio-ingress -n istio-ingress")?;
    let address = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str();
    let address: IpAddr = address.context("the gateway's Service has no address")?.parse()?;
    Ok(SocketAddr::new(address, port))
}
