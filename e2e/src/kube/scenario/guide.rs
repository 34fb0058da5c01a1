//! The documents for users, walked through as they stand: every command, and every object.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use mesh_testkit::docs::{Block, blocks};

use super::charts;
use crate::kube::{Kube, PATIENCE};

/// In the order in which they build on each other; the last one removes everything.
const DOCUMENTS: [&str; 5] = ["getting-started", "concepts", "moving-from-istio", "troubleshooting", "operations"];

/// Blocks that are not run here (`sh elsewhere`), by how they begin, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo xtask images", "builds images: the suite did"),
    ("cargo install --path cli", "builds weft: the tests of `cli` run its commands"),
    ("kind create cluster", "makes a cluster: the suite did"),
    ("for image in pilot proxyv2", "needs a registry"),
    ("helm install istiod charts/istiod -n istio-system --wait --set global.hub", "needs a registry"),
    ("helm install istio-ingress charts/gateway", "needs the load balancer of AWS"),
    ("helm upgrade istio-ingress charts/gateway -n istio-ingress --reuse", "needs a balancer that sends PROXY headers"),
    ("helm upgrade istio-base charts/base -n istio-system --set", "needs Istio's own istiod and proxies"),
    ("kubectl create secret generic cacerts", "needs the files of one's own authority"),
];

/// What is before a document's own commands: what is left running does not stay.
const BEFORE: &str = "exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";

pub(super) fn walk(kube: &Kube) -> Result<String> {
    charts::remove(kube)?;
    let (mut run, mut skipped) = (0, BTreeSet::new());
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(kube.root.join(format!("docs/{document}.md")))?;
        let script = Script::of(document, &blocks(&text))?;
        script.run(kube)?;
        run += script.blocks;
        skipped.extend(script.elsewhere);
    }
    let skipped: Vec<String> = skipped.iter().map(|(begins, why)| format!("`{begins} …` ({why})")).collect();
    Ok(format!("{run} blocks of {} documents were run; for elsewhere are {}", DOCUMENTS.len(), skipped.join(", ")))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.helm("uninstall membership-service -n default --wait --ignore-not-found")?;
    kube.helm(&format!("uninstall istiod-canary -n istio-system --wait --ignore-not-found --timeout {PATIENCE}"))?;
    kube.kubectl("delete deployment membership-v2 -n default --ignore-not-found")?;
    kube.kubectl("label namespace default istio.io/rev-")?;
    let tag = "mutatingwebhookconfiguration,clusterrole,clusterrolebinding istio-revision-tag-prod";
    kube.kubectl(&format!("delete {tag} --ignore-not-found"))?;
    charts::remove(kube)
}

/// A document's commands.
struct Script {
    document: &'static str,
    text: String,
    /// How many blocks it runs.
    blocks: usize,
    /// What it does not run, and why.
    elsewhere: Vec<&'static (&'static str, &'static str)>,
}

impl Script {
    /// Commands are run; objects (`yaml`) are applied, or shown to the API server (`yaml example`).
    fn of(document: &'static str, blocks: &[Block]) -> Result<Self> {
        let mut script = Self { document, text: BEFORE.to_owned(), blocks: 0, elsewhere: Vec::new() };
        for block in blocks {
            let place = format!("docs/{document}.md:{}", block.line);
            match block.kind.as_str() {
                // The tests of `cli` run these.
                "sh" if block.text.starts_with("weft ") => {}
                "sh" => script.add(&place, &block.text)?,
                "yaml" => script.add(&place, &apply("", &block.text))?,
                "yaml example" => script.add(&place, &apply("--dry-run=server", &block.text))?,
                "sh elsewhere" => {
                    let known = ELSEWHERE.iter().find(|(begins, _)| block.text.starts_with(begins));
                    script.elsewhere.push(known.with_context(|| format!("{place}: why is it not run here?"))?);
                }
                "text" | "mermaid" => {}
                other => bail!("{place}: {other:?} is neither run nor known"),
            }
        }
        Ok(script)
    }

    fn add(&mut self, place: &str, commands: &str) -> Result<()> {
        self.blocks += 1;
        write!(self.text, "echo '── {place}'\n{commands}").context("the script")
    }

    fn run(&self, kube: &Kube) -> Result<()> {
        let directory = kube.root.join("target/e2e/docs");
        let programs = programs(kube, &directory)?;
        let file = directory.join(format!("{}.sh", self.document));
        std::fs::write(&file, &self.text)?;
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail"]).arg(&file).current_dir(&kube.root).env("PATH", programs);
        let output = bash.output().context("bash")?;
        let said = String::from_utf8_lossy(&output.stdout);
        std::fs::write(file.with_extension("log"), &*said)?;
        let last = said.rsplit("── ").next().unwrap_or_default();
        ensure!(output.status.success(), "{}", last.trim());
        Ok(())
    }
}

/// A `PATH` on which kubectl and helm are those of the suite, and speak to its cluster.
fn programs(kube: &Kube, directory: &Path) -> Result<String> {
    let programs = directory.join("bin");
    std::fs::create_dir_all(&programs)?;
    for (name, program, option) in [("kubectl", &kube.kubectl, "--context"), ("helm", &kube.helm, "--kube-context")] {
        // Where a program is only a name, it is looked for further down the path.
        let others = "PATH=${PATH#*:}";
        let script = format!("#!/bin/sh\n{others} exec '{}' {option} '{}' \"$@\"\n", program.display(), kube.context);
        std::fs::write(programs.join(name), script)?;
        std::fs::set_permissions(programs.join(name), Permissions::from_mode(0o755))?;
    }
    Ok(format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default()))
}

fn apply(how: &str, object: &str) -> String {
    format!("kubectl apply {how} -f - <<'WEFT_YAML'\n{object}WEFT_YAML\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_run_or_known() {
        let mut elsewhere = BTreeSet::new();
        for document in DOCUMENTS {
            let file = format!("{}/../docs/{document}.md", env!("CARGO_MANIFEST_DIR"));
            let script = Script::of(document, &blocks(&std::fs::read_to_string(file).unwrap())).unwrap();
            let read = Command::new("bash").args(["-n", "-c", &script.text]).output().unwrap();
            assert!(read.status.success(), "{document}: {}", String::from_utf8_lossy(&read.stderr));
            elsewhere.extend(script.elsewhere);
        }
        assert_eq!(elsewhere, ELSEWHERE.iter().collect(), "a reason without a block");
    }
}
