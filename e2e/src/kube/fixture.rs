//! What scenarios stand on: the mesh, and a small shop in it.

use anyhow::Result;

use super::Kube;
use super::scenario::{Needs, Scenario, charts};

/// The namespace of the shop: `web`, with two instances, one on each node, and `client`.
pub(super) const SHOP: &str = "shop";
/// From where scenarios call.
pub(super) const CLIENT: (&str, &str) = (SHOP, "deployment/client");
const OBJECTS: &str = "e2e/yaml/kube/shop.yaml";

/// Makes true what a scenario needs.
pub fn prepare(kube: &Kube, scenario: &Scenario) -> Result<()> {
    if scenario.needs != Needs::Nothing && !charts::are_installed(kube) {
        charts::install(kube)?;
    }
    if scenario.needs == Needs::Shop {
        kube.apply(OBJECTS)?;
        kube.wait_rolled_out(SHOP, "deployment/web")?;
        kube.wait_rolled_out(SHOP, "deployment/client")?;
    }
    Ok(())
}

/// Closes the shop.
pub fn close(kube: &Kube) -> Result<()> {
    kube.delete(OBJECTS).map(|_| ())
}
