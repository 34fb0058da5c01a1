//! Debian's packages, taken apart without being installed: of the release that this machine runs, as its own archive
//! has them, verified by apt.

mod files;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::output;

pub(crate) use files::Files;

/// What `istio-init` needs, and everybody's roots of trust.
pub(crate) const IPTABLES: &[&str] = &[
    "ca-certificates",
    "iptables",
    "libc6",
    "libip4tc2",
    "libip6tc2",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libnftnl11",
    "libxtables12",
];

/// A package that was taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
    /// What dpkg knows of it.
    pub(crate) control: String,
    /// Its files.
    pub(crate) root: PathBuf,
}

/// Downloads packages into `directory`, if they are not there, and takes them apart.
pub(crate) fn unpack(directory: &Path, names: &[&str]) -> Result<Vec<Package>> {
    std::fs::create_dir_all(directory)?;
    files(directory, names)?.iter().map(|file| take_apart(directory, file)).collect()
}

/// The packages' files in `directory`, downloaded if they are not there.
fn files(directory: &Path, names: &[&str]) -> Result<Vec<PathBuf>> {
    let list = || output(Command::new("apt-get").args(["download", "--print-uris", "-qq"]).args(names));
    // A fresh system has no lists of packages.
    let list = match list() {
        Ok(list) => list,
        Err(_) => {
            crate::packages::update()?;
            list()?
        }
    };
    // '<address>' <file> <size> <checksum>
    let files: Vec<PathBuf> =
        list.lines().filter_map(|line| line.split_whitespace().nth(1)).map(|name| directory.join(name)).collect();
    if files.len() != names.len() {
        bail!("apt knows {} of the packages {}:\n{list}", files.len(), names.join(", "));
    }
    if !files.iter().all(|file| file.exists()) {
        // Downloaded elsewhere and moved, so that what is there is whole.
        let parts = tempfile::Builder::new().prefix("download-").tempdir_in(directory)?;
        output(Command::new("apt-get").args(["download", "-qq"]).args(names).current_dir(parts.path()))?;
        for file in &files {
            let part = parts.path().join(file.file_name().unwrap_or_default());
            std::fs::rename(&part, file).with_context(|| format!("apt did not download {}", file.display()))?;
        }
    }
    Ok(files)
}

fn take_apart(directory: &Path, file: &Path) -> Result<Package> {
    let root = directory.join(file.file_stem().unwrap_or_default());
    if !root.exists() {
        let parts = tempfile::Builder::new().prefix("unpack-").tempdir_in(directory)?;
        output(Command::new("dpkg-deb").arg("--extract").arg(file).arg(parts.path()))?;
        std::fs::rename(parts.keep(), &root)?;
    }
    let control = output(Command::new("dpkg-deb").arg("--field").arg(file))?;
    let field = |name: &str| {
        let value = control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::to_owned).with_context(|| format!("{} says no {name}", file.display()))
    };
    Ok(Package {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        control,
        root,
    })
}

/// One of several packages.
pub(crate) fn by_name<'a>(packages: &'a [Package], name: &str) -> Result<&'a Package> {
    packages.iter().find(|package| package.name == name).with_context(|| format!("there is no package {name}"))
}
