//! The gateway of the user's path, as other scenarios use it to call from outside.

use std::net::SocketAddr;

use anyhow::Result;

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
    Ok(SocketAddr::new(kube.balanced_address("istio-ingress", "istio-ingress")?, port))
}
