//! What is true of Weft in a real cluster, in the order in which a user meets it.

mod charts;
mod membership;
mod plain;

use anyhow::Result;

use super::Kube;

/// One scenario. It leaves the cluster as it found it, but for the mesh that the others need.
pub struct Scenario {
    /// What is done.
    pub title: &'static str,
    /// What should be true.
    pub expected: &'static str,
    /// Whether the charts have to be installed first.
    pub in_mesh: bool,
    /// Does it, and returns what it measured.
    pub run: fn(&Kube) -> Result<String>,
    /// Removes what it made, once a failure has been looked into.
    pub leave: fn(&Kube) -> Result<()>,
}

/// All scenarios.
pub const ALL: &[Scenario] = &[
    Scenario {
        title: "The cluster, before there is a mesh",
        expected: "pods on both nodes reach each other by name and address, and are reached from outside",
        in_mesh: false,
        run: plain::cluster,
        leave: plain::leave,
    },
    Scenario {
        title: "The user's path: three charts and a label",
        expected: "every command succeeds as it stands in Istio's guides, and everything becomes ready",
        in_mesh: false,
        run: charts::install,
        leave: nothing,
    },
    Scenario {
        title: "A user's own chart",
        expected: "its pods get istio-init and istio-proxy; the gateway answers for it, over mutual TLS inside",
        in_mesh: true,
        run: membership::serve,
        leave: nothing,
    },
    Scenario {
        title: "helm upgrade under load",
        expected: "the user's chart is upgraded, each pod is replaced, and no call fails",
        in_mesh: true,
        run: membership::upgrade,
        leave: membership::leave,
    },
    Scenario {
        title: "helm uninstall",
        expected: "what the charts installed is gone but for the definitions of Istio's kinds",
        in_mesh: true,
        run: charts::uninstall,
        leave: nothing,
    },
];

/// For scenarios that leave nothing behind, or what the next one needs.
fn nothing(_: &Kube) -> Result<()> {
    Ok(())
}

/// Makes true what a scenario needs.
pub fn prepare(kube: &Kube, scenario: &Scenario) -> Result<()> {
    if scenario.in_mesh && !charts::are_installed(kube) {
        charts::install(kube)?;
    }
    Ok(())
}
