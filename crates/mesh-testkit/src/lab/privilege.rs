//! The right to make namespaces: root's, or that of a user namespace of our own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

/// Set in the process that runs inside the user namespace.
const INSIDE: &str = "WEFT_LAB_IN_USER_NAMESPACE";

/// By which right the laboratory is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// We are root.
    Root,
    /// We are root of our own user namespace.
    UserNamespace,
}

/// Makes sure that the process may make namespaces. Call it first thing in `main`: if the process is not root it
/// starts again inside user, network and mount namespaces of its own, with the users of a mesh pod mapped.
///
/// Fails where the machine does not allow that, with what is missing.
pub fn become_root() -> Result<Privilege> {
    if std::env::var_os(INSIDE).is_some() {
        prepare_inside()?;
        return Ok(Privilege::UserNamespace);
    }
    if nix::unistd::geteuid().is_root() {
        return Ok(Privilege::Root);
    }
    let error = Command::new("unshare")
        .args(["--user", "--map-root-user", "--map-auto", "--net", "--mount", "--"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(error).context("cannot start in a user namespace; run as root, or install the package uidmap and give your user a range in /etc/subuid and /etc/subgid")
}

/// The `ip` tool keeps namespaces in `/run/netns`, and iptables its lock in `/run`: both need a `/run` that is ours.
fn prepare_inside() -> Result<()> {
    use nix::mount::{MsFlags, mount};
    let none = None::<&str>;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).context("cannot mount a /run of our own")?;
    Ok(())
}
