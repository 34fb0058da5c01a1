//! Where nodes run: the user's docker, or a daemon of our own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::cache::Cache;
use super::daemon::{self, Daemon};
use super::{go, kubernetes, node};
use crate::run::step;

/// A docker daemon, with the image of its nodes and the kind that speaks to it.
pub(crate) enum Docker {
    /// The user's, which has kind's own image.
    Users {
        /// The pinned `kindest/node`, or what was asked for.
        image: String,
        /// The user's kind, or ours.
        kind: PathBuf,
    },
    /// Ours, which has ours.
    Own {
        /// The image that was made here.
        image: String,
        /// Our kind.
        kind: PathBuf,
        /// The daemon.
        daemon: Daemon,
    },
}

impl Docker {
    /// The user's docker where it answers and has or gets the nodes' image; else one of our own, which makes it. An image
    /// that is `asked` for has to be the user's docker's.
    pub(crate) fn find(cache: &Cache, asked: Option<&str>, keep: bool) -> Result<Self> {
        if let Some(image) = users_image(asked)? {
            return Ok(Self::Users { image, kind: kind(cache)? });
        }
        if let Some(image) = asked {
            bail!("--node-image {image}: no docker daemon that answers has it or can pull it");
        }
        println!("── The cluster runs on a docker daemon of our own, and its nodes on an image that is made here");
        let tools = daemon::tools(cache)?;
        let kind = kubernetes::kind(cache)?;
        let node = node::make(cache, &tools)?;
        let daemon = Daemon::start(cache, tools, keep)?;
        daemon.import(&node)?;
        Ok(Self::Own { image: node.name, kind, daemon })
    }

    /// The image of the nodes.
    pub(crate) fn image(&self) -> &str {
        match self {
            Self::Users { image, .. } | Self::Own { image, .. } => image,
        }
    }

    /// Lets it live on after this run.
    pub(crate) fn keep(&mut self) {
        if let Self::Own { daemon, .. } = self {
            daemon.keep();
        }
    }

    /// A command of kind.
    pub(crate) fn kind(&self) -> Command {
        match self {
            Self::Users { kind, .. } => Command::new(kind),
            Self::Own { kind, daemon, .. } => {
                let mut command = Command::new(kind);
                daemon.environment(&mut command);
                command
            }
        }
    }

    /// A command that reaches the API server, the nodes and their pods.
    pub(crate) fn inside(&self, program: &Path) -> Command {
        match self {
            Self::Users { .. } => Command::new(program),
            Self::Own { daemon, .. } => {
                let mut command = daemon.inside(program);
                daemon.environment(&mut command);
                command
            }
        }
    }
}

/// True if the user's docker answers.
pub(crate) fn is_there() -> bool {
    answers("docker", &["info"])
}

/// The image of the nodes that is asked for, or the pinned one, if the user's docker answers and has it or can pull it.
fn users_image(asked: Option<&str>) -> Result<Option<String>> {
    if !is_there() {
        println!("── No docker daemon answers");
        return Ok(None);
    }
    let image = asked.map_or_else(pinned_image, |image| Ok(image.to_owned()))?;
    let known = answers("docker", &["image", "inspect", &image]);
    if known || step("Node: pull", Command::new("docker").args(["pull", "--quiet", &image])).is_ok() {
        return Ok(Some(image));
    }
    println!("── The user's docker neither has {image} nor can pull it");
    Ok(None)
}

/// The user's kind if it is the one that names the image: another may not know how to start it. Else ours.
fn kind(cache: &Cache) -> Result<PathBuf> {
    let pinned = format!("kind {} ", go::version(&go::module("kubernetes"), "sigs.k8s.io/kind")?);
    let said = Command::new("kind").arg("version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let same = said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).starts_with(&pinned));
    if same { Ok(PathBuf::from("kind")) } else { kubernetes::kind(cache) }
}

/// The image that kind itself names, by its digest. The checksum of kind's module pins it.
fn pinned_image() -> Result<String> {
    let source = go::source(&go::module("kubernetes"), "sigs.k8s.io/kind")?.join("pkg/apis/config/defaults/image.go");
    let source = std::fs::read_to_string(source)?;
    let image = source.lines().find_map(|line| line.strip_prefix("const Image = \"")?.strip_suffix('"'));
    image.map(str::to_owned).context("kind names no image of a node")
}

fn answers(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
