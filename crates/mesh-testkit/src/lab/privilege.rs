//! The right to make namespaces: root's, or that of a user namespace of our own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

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
    require_ranges()?;
    let error = Command::new("unshare")
        .args(["--user", "--map-root-user", "--map-auto", "--net", "--mount", "--"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(error).context("cannot start in a user namespace: `unshare` is missing")
}

/// The users of a pod need users outside, which an administrator gives away in ranges.
fn require_ranges() -> Result<()> {
    let uid = nix::unistd::geteuid();
    let name = nix::unistd::User::from_uid(uid)?.map_or_else(|| uid.to_string(), |user| user.name);
    for file in ["/etc/subuid", "/etc/subgid"] {
        let ranges = std::fs::read_to_string(file).unwrap_or_default();
        let owner = |line: &str| line.split(':').next().is_some_and(|owner| owner == name || owner == uid.to_string());
        if !ranges.lines().any(owner) {
            bail!(
                "{file} gives {name} no range of users, without which only root can run this. Run it as root, or once:\n  \
                 sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
            );
        }
    }
    let helper = |path: &str| std::path::Path::new(path).exists();
    if !["/usr/bin/newuidmap", "/bin/newuidmap"].into_iter().any(helper) {
        bail!("newuidmap is missing, without which only root can run this: install the package uidmap");
    }
    Ok(())
}

/// The `ip` tool keeps namespaces in `/run/netns`, and iptables its lock in `/run`: both need a `/run` that is ours.
fn prepare_inside() -> Result<()> {
    use nix::mount::{MsFlags, mount};
    let none = None::<&str>;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).context("cannot mount a /run of our own")?;
    Ok(())
}
