//! What scenarios stand on: the mesh, and a small shop in it.

use anyhow::Result;

use super::scenario::{Needs, Scenario, charts};
use super::{Kube, Load};
use crate::client::Tally;

/// The namespace of the shop: `web`, with two instances, one on each node, and `client`.
pub(super) const SHOP: &str = "shop";
/// From where scenarios call.
pub(super) const CLIENT: (&str, &str) = (SHOP, "deployment/client");
/// What the shop answers to harmless calls.
pub(super) const WEB: &str = "http://web.shop.svc.cluster.local:9080/details/0";
/// What says how a call arrived.
pub(super) const ECHO: &str = "http://web.shop.svc.cluster.local:9080/echo";
const OBJECTS: &str = "e2e/yaml/kube/shop.yaml";

/// Makes true what a scenario needs.
pub fn prepare(kube: &Kube, scenario: &Scenario) -> Result<()> {
    if scenario.needs == Needs::Nothing {
        // Its proxies would be of a mesh that goes: another one counts them, and they do not believe it.
        close(kube)?;
    }
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

/// What becomes of calls to the shop while something is done to it: of harmless ones, and of ones that nobody may
/// repeat.
pub(super) fn under_load(kube: &Kube, work: impl FnOnce() -> Result<()>) -> Result<Tally> {
    let harmless = Load::start(kube, CLIENT, "GET", WEB)?;
    let harmful = Load::start(kube, CLIENT, "POST", ECHO)?;
    work()?;
    Ok(harmless.stop()?.and(harmful.stop()?))
}
