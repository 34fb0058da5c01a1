//! What the demo shows on one machine, on a cluster: the same steps.

use anyhow::{Context, Result, bail};

use crate::kube::Kube;
use crate::kube::place::Shop;
use crate::scenario::{self, Run};

pub(super) fn walk(kube: &Kube) -> Result<String> {
    let shop = Shop::open(kube)?;
    let mut measured = Vec::new();
    for scenario in scenario::ALL {
        if let Run::Anywhere(run) = scenario.run {
            let said = run(&shop).with_context(|| format!("{}: {}", scenario.title, scenario.expected))?;
            measured.push(format!("{}: {said}", scenario.title));
        }
    }
    if measured.is_empty() {
        bail!("there is nothing to show");
    }
    Ok(measured.join("\n              "))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    Shop::close(kube)
}
