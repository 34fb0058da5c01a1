//! The image of a kind node, where `kindest/node` cannot be had: Debian, kind's own files, Kubernetes, and the images
//! that kubeadm starts, all made here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use oci_archive::{Image, Settings, Tree};

use super::cache::{Cache, Inputs};
use super::{go, kubernetes};
use crate::images::{self, debian};
use crate::run::{output, root, step};

/// The archive of a node's files, and the name by which docker is to know it.
pub(crate) struct Node {
    pub(crate) archive: PathBuf,
    pub(crate) name: String,
}

/// Makes the node, or finds it.
pub(crate) fn make(cache: &Cache, tools: &Path) -> Result<Node> {
    let programs = Programs { api_server: kubernetes::api_server(cache)?, node: kubernetes::node(cache)? };
    let scripts = ["node-root.sh", "node-images.sh", "podnet.sh", "podnet.service", "podnet-rbac.yaml", "pause.c"];
    let shared = ["has-sys-resource.sh", "runc-limited.sh"];
    let mut inputs = Inputs::default().file(&go::module("kubernetes"))?.file(&go::module("coredns"))?;
    for script in scripts.iter().chain(&shared) {
        inputs = inputs.file(&script_path(script))?;
    }
    let name = format!("weft.dev/kind-node:{}", inputs.digest());
    let directory = cache.get("node", &inputs, |into| build(&programs, tools, into))?;
    Ok(Node { archive: directory.join("node.tar"), name })
}

/// Where Kubernetes' programs are.
struct Programs {
    api_server: PathBuf,
    node: PathBuf,
}

impl Programs {
    fn path(&self, name: &str) -> PathBuf {
        match name {
            "etcd" | "kube-apiserver" => self.api_server.join(name),
            _ => self.node.join(name),
        }
    }
}

/// A script under `e2e/kind/`.
pub(crate) fn script_path(name: &str) -> PathBuf {
    root().join("e2e/kind").join(name)
}

fn build(programs: &Programs, tools: &Path, into: &Path) -> Result<()> {
    let (rootfs, work) = (into.join("root"), into.join("work"));
    std::fs::create_dir_all(&work)?;
    let files = go::source(&go::module("kubernetes"), "sigs.k8s.io/kind")?.join("images/base/files");
    let mut make_root = Command::new(script_path("node-root.sh"));
    make_root.args([&rootfs, &files, &programs.node]).arg(kubernetes::version()?);
    // debootstrap tells every package; it is asked again only if it failed.
    quietly("Node: Debian and kind's files", &mut make_root, &work.join("root.log"))?;
    let archives = images(programs, &work)?;
    let mut store = Command::new("unshare");
    store.args(["--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private"]);
    store.arg(script_path("node-images.sh")).args([rootfs.as_path(), tools]).args(archives);
    quietly("Node: images of Kubernetes", &mut store, &work.join("images.log"))?;
    let mut pack = Command::new("tar");
    pack.arg("--directory").arg(&rootfs).args(["--numeric-owner", "--create", "--file"]).arg(into.join("node.tar"));
    step("Node: archive", pack.arg("."))?;
    std::fs::remove_dir_all(&rootfs)?;
    std::fs::remove_dir_all(&work)?;
    Ok(())
}

/// Runs a command that tells much; what it told is shown if it fails.
fn quietly(title: &str, command: &mut Command, log: &Path) -> Result<()> {
    let file = std::fs::File::create(log)?;
    step(title, command.stdout(file.try_clone()?).stderr(file))
        .with_context(|| std::fs::read_to_string(log).unwrap_or_default())
}

/// Makes the images that kubeadm names.
fn images(programs: &Programs, directory: &Path) -> Result<Vec<PathBuf>> {
    let version = kubernetes::version()?;
    let list = output(Command::new(programs.path("kubeadm")).args([
        "config",
        "images",
        "list",
        "--kubernetes-version",
        &version,
    ]))?;
    list.lines().map(|name| image(programs, name, directory)).collect()
}

fn image(programs: &Programs, name: &str, directory: &Path) -> Result<PathBuf> {
    let short = name.rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or_default();
    let mut tree = Tree::default();
    tree.directory("/tmp", 0o1777);
    tree.directory("/run", 0o755);
    let mut settings = Settings {
        architecture: images::architecture().to_owned(),
        environment: vec!["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        ..Settings::default()
    };
    match short {
        "pause" => {
            tree.copy("/pause", 0o755, &pause(directory)?)?;
            settings.entrypoint = vec!["/pause".to_owned()];
            settings.user = "65535:65535".to_owned();
        }
        "coredns" => {
            tree.copy("/coredns", 0o755, &programs.path(short))?;
            settings.entrypoint = vec!["/coredns".to_owned()];
        }
        "kube-proxy" => {
            let packages = debian::unpack(&root().join("target/debian"), debian::IPTABLES)?;
            images::add_iptables(&mut tree, &packages)?;
            tree.copy("/usr/local/bin/kube-proxy", 0o755, &programs.path(short))?;
        }
        "etcd" | "kube-apiserver" | "kube-controller-manager" | "kube-scheduler" => {
            tree.copy(&format!("/usr/local/bin/{short}"), 0o755, &programs.path(short))?;
        }
        other => bail!("kubeadm asks for an image that nobody knows how to make: {other}"),
    }
    let archive = directory.join(format!("{short}.tar"));
    Image::new(name, &tree, &settings)?.write(&archive)?;
    Ok(archive)
}

fn pause(directory: &Path) -> Result<PathBuf> {
    let program = directory.join("pause");
    output(Command::new("gcc").args(["-static", "-Os", "-o"]).arg(&program).arg(script_path("pause.c")))?;
    Ok(program)
}
