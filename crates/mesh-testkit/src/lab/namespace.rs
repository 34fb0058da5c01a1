//! One network namespace, by the `ip` tool, so that a person can look into it with the same tool.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

/// Where the `ip` tool keeps namespaces.
const NAMESPACES: &str = "/run/netns";

/// A named network namespace, deleted with its last handle.
#[derive(Debug)]
pub(super) struct Namespace(Arc<Owned>);

#[derive(Debug)]
struct Owned {
    name: String,
}

impl Namespace {
    pub(super) fn new(name: &str) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", name]))?;
        Ok(Self(Arc::new(Owned { name: name.to_owned() })))
    }

    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// Runs `ip` inside.
    pub(super) fn ip(&self, args: &[&str]) -> Result<()> {
        run(Command::new("ip").args(["-n", self.name()]).args(args))
    }

    /// Moves the calling thread, and what it starts, inside.
    pub(super) fn enter(&self) -> Result<()> {
        let file = std::fs::File::open(Path::new(NAMESPACES).join(self.name()))?;
        nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).context("cannot enter the pod's namespace")
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

/// Deletes namespaces of runs whose process is gone.
pub(super) fn sweep() {
    let Ok(entries) = std::fs::read_dir(NAMESPACES) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("weft-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()) {
            delete(&name);
        }
    }
}

/// Deletes every namespace of this process, and ends what runs in them.
pub(super) fn remove_all() {
    let Ok(entries) = std::fs::read_dir(NAMESPACES) else { return };
    let ours = format!("weft-{}-", std::process::id());
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&ours) {
            delete(&name);
        }
    }
}

/// Ends whatever still runs inside, so that the kernel can let the namespace go.
fn delete(name: &str) {
    if let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() {
        for pid in String::from_utf8_lossy(&output.stdout).split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).output();
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().context("cannot run ip; is the package iproute2 installed?")?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
