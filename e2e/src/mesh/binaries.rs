//! The programs under test, as cargo built them.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Paths of the programs.
#[derive(Clone, Debug)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// Looks beside the running program, or one folder up if it is a test. Fails with what to build.
    pub fn find() -> Result<Self> {
        let program = std::env::current_exe()?;
        let beside = program.parent().unwrap_or(Path::new("."));
        let candidates = [beside.to_owned(), beside.join("..")];
        let needed = ["istiod", "weft-proxy", "weft-cni-init", "weft-shop"];
        for directory in candidates {
            if needed.iter().all(|name| directory.join(name).exists()) {
                return Ok(Self { directory: directory.canonicalize()? });
            }
        }
        bail!("{} are not built; run `cargo build --workspace` first", needed.join(", "))
    }

    /// The path of one.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}
