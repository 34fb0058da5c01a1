//! Our programs as images carry them: static, so that they run on whatever libraries an image has, and the same to the
//! byte wherever they are built.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::platform;
use crate::run::{cargo, root, step};

/// How much time the compiler is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Quality {
    /// Nearly as fast as a release, in half the time.
    Fast,
    /// What is published.
    Release,
}

impl Quality {
    fn profile(self) -> &'static str {
        match self {
            Self::Fast => "bench-fast",
            Self::Release => "release",
        }
    }
}

/// Programs that were built.
pub(crate) struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    pub(crate) fn build(quality: Quality) -> Result<Self> {
        let profile = quality.profile();
        let mut build = static_programs(profile, &[]);
        build.arg("--locked");
        for (package, binary) in [
            ("istiod", "istiod"),
            ("weft-proxy", "weft-proxy"),
            ("weft-cni-init", "weft-cni-init"),
            ("e2e", "weft-shop"),
            ("e2e", "weft-call"),
        ] {
            build.args(["--package", package, "--bin", binary]);
        }
        step("Static programs", &mut build)?;
        Ok(Self { directory: root().join("target").join(platform::rust()).join(profile) })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// Builds what is asked for of it, by arguments, statically, with more flags for the compiler.
pub(crate) fn static_programs(profile: &str, more: &[String]) -> Command {
    let mut build = cargo();
    build.args(["build", "--profile", profile, "--target", platform::rust()]);
    build.env("CARGO_ENCODED_RUSTFLAGS", [&flags(), more].concat().join("\u{1f}")).env("CFLAGS", c_flags());
    build
}

/// Paths of this machine, and what is written instead.
fn remapped() -> [(PathBuf, &'static str); 2] {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    [(root(), "/weft"), (cargo.unwrap_or_else(|| home.join(".cargo")), "/cargo")]
}

fn flags() -> Vec<String> {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.extend(remapped().iter().rev().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())));
    flags
}

fn c_flags() -> String {
    remapped()
        .iter()
        .map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display()))
        .collect::<Vec<_>>()
        .join(" ")
}
