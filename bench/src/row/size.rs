//! How large the binary is without its symbols.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::labelled;
use crate::figure::{Figure, Promise};
use crate::peer::{Peer, envoy_binary};
use crate::site::Site;

pub(super) fn measure(site: &Site) -> Result<Vec<Figure>> {
    let directory = site.directory("size")?;
    let programs = [
        (Peer::Haproxy, installed("haproxy")?),
        (Peer::Envoy, envoy_binary()?),
        (Peer::Nginx, installed("nginx")?),
        (Peer::Weft, site.proxy.clone()),
    ];
    let sizes = programs.iter().map(|(_, program)| Ok(vec![stripped(program, &directory.join("stripped"))?]));
    let sizes = sizes.collect::<Result<Vec<_>>>()?;
    let series = labelled(programs.iter().map(|(peer, _)| *peer), sizes);
    Ok(vec![Figure { work: "binary, stripped", unit: "MB", series, promise: Promise::absolute(15.0, 8.0) }])
}

/// MB (10⁶ bytes) of a copy without symbols.
fn stripped(program: &Path, copy: &Path) -> Result<f64> {
    let status = Command::new("strip").arg("-o").arg(copy).arg(program).status().context("cannot run strip")?;
    ensure!(status.success(), "strip {}: {status}", program.display());
    Ok(std::fs::metadata(copy)?.len() as f64 / 1e6)
}

fn installed(name: &str) -> Result<PathBuf> {
    let path = Path::new("/usr/sbin").join(name);
    ensure!(path.exists(), "{} is not there; Debian's package has it", path.display());
    Ok(path)
}
