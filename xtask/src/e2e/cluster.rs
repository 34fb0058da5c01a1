//! The cluster that the suite runs on: one of two nodes that is made for it, or one that exists.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::cache::Cache;
use super::daemon::{self, Daemon};
use super::docker::Docker;
use super::kubernetes;
use super::node::script_path;
use crate::run::{root, step};

/// The name of the cluster that is made; its context is `kind-weft`.
const NAME: &str = "weft";

/// A cluster that can be reached.
pub(crate) enum Cluster {
    /// Made for this run. Dropping it removes it.
    Made(Made),
    /// The user's, by its context.
    Users(String),
}

/// A cluster of kind.
pub(crate) struct Made {
    docker: Docker,
    kubeconfig: PathBuf,
    kept: bool,
}

impl Cluster {
    /// Makes a cluster.
    pub(crate) fn make(docker: Docker, keep: bool) -> Result<Self> {
        let directory = root().join("target/e2e");
        std::fs::create_dir_all(&directory)?;
        let mut made = Made { docker, kubeconfig: directory.join("kubeconfig"), kept: false };
        made.delete();
        let mut create = made.docker.kind();
        create.args(["create", "cluster", "--name", NAME, "--image", made.docker.image(), "--wait", "600s"]);
        create.arg("--config").arg(script_path("kind.yaml")).arg("--kubeconfig").arg(&made.kubeconfig);
        step("Cluster", &mut create)?;
        if keep {
            made.keep();
        }
        Ok(Self::Made(made))
    }

    /// Gives every node the images in archives.
    pub(crate) fn load(&self, archives: &[PathBuf]) -> Result<()> {
        let (mut kind, name) = match self {
            Self::Made(made) => (made.docker.kind(), NAME),
            Self::Users(context) => match context.strip_prefix("kind-") {
                Some(name) => (Command::new("kind"), name),
                None => {
                    println!("── {context} is no cluster of kind: it has to have the images, or to pull them");
                    return Ok(());
                }
            },
        };
        kind.args(["load", "image-archive", "--name", name]).args(archives);
        step("Images onto the nodes", &mut kind)
    }

    /// A command that speaks to the cluster, and finds the docker that its nodes run on.
    pub(crate) fn command(&self, program: &Path) -> Command {
        match self {
            Self::Made(made) => {
                let mut command = made.docker.inside(program);
                command.env("KUBECONFIG", &made.kubeconfig);
                command
            }
            Self::Users(_) => Command::new(program),
        }
    }

    /// Its context in the kubeconfig.
    pub(crate) fn context(&self) -> String {
        match self {
            Self::Made(_) => format!("kind-{NAME}"),
            Self::Users(context) => context.clone(),
        }
    }
}

impl Made {
    /// Lets it live on, and says how to reach it.
    fn keep(&mut self) {
        self.kept = true;
        self.docker.keep();
        let (enter, variables) = match &self.docker {
            Docker::Users { .. } => (String::new(), String::new()),
            Docker::Own { daemon, kind, .. } => {
                (format!("nsenter --target {} --net ", daemon.init()), daemon.variables(kind))
            }
        };
        println!("   The cluster will be kept. A shell that reaches it, with kind and docker:");
        println!("     {enter}env KUBECONFIG={} {variables}bash", self.kubeconfig.display());
        println!("   `cargo xtask e2e --down` removes it.");
    }

    fn delete(&self) {
        let mut delete = self.docker.kind();
        delete.args(["delete", "cluster", "--name", NAME, "--kubeconfig"]).arg(&self.kubeconfig);
        // Not told of a terminal's Ctrl-C, which may be why it runs.
        let _ = delete.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Removes a cluster that an earlier run kept, and the daemon that it ran on.
pub(crate) fn remove_kept(cache: &Cache) -> Result<()> {
    let tools = daemon::tools(cache)?;
    let docker = match Daemon::find(&cache.directory("docker"), &tools) {
        Some(daemon) => Docker::Own { image: String::new(), kind: kubernetes::kind(cache)?, daemon },
        None => Docker::Users { image: String::new(), kind: kubernetes::kind(cache)? },
    };
    drop(Made { docker, kubeconfig: root().join("target/e2e/kubeconfig"), kept: false });
    Ok(())
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.kept {
            println!("── Removing the cluster");
            self.delete();
        }
    }
}
