//! The files of packages, and the programs among them with all that these load.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use oci_archive::Tree;

use super::Package;
use crate::images::elf;

/// The files of several packages, by the path that they have where `/bin`, `/lib` and `/sbin` are those of `/usr`.
pub(crate) struct Files(BTreeMap<String, PathBuf>);

impl Files {
    pub(crate) fn of(packages: &[Package]) -> Result<Self> {
        let mut files = BTreeMap::new();
        for package in packages {
            collect(&package.root, "", &mut files)?;
        }
        Ok(Self(files))
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Adds programs and all libraries that they load, which must be among the files.
    pub(crate) fn add_programs(&self, tree: &mut Tree, mut wanted: Vec<String>) -> Result<()> {
        for directory in MERGED {
            tree.link(&format!("/{directory}"), &format!("usr/{directory}"));
        }
        while let Some(path) = wanted.pop() {
            if tree.contains(&path) {
                continue;
            }
            let content = self.read(&path)?;
            for library in elf::needed(&content)? {
                wanted.push(self.library(&library).with_context(|| format!("{path} needs it"))?);
            }
            tree.file(&path, 0o755, content);
        }
        Ok(())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.0.get(path).with_context(|| format!("no package has {path}"))?;
        std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Where the dynamic linker finds a library. The linker itself is found by the shortest of its paths, which
    /// programs name.
    fn library(&self, name: &str) -> Result<String> {
        let ending = format!("/{name}");
        let found = self.paths().filter(|path| path.starts_with("/usr/lib") && path.ends_with(&ending));
        let found = found.min_by_key(|path| path.len());
        found.map(str::to_owned).with_context(|| format!("no package has the library {name}"))
    }
}

/// Directories that are those of `/usr`. Programs name some of them, and packages still have files in them.
const MERGED: &[&str] = &["bin", "lib", "lib64", "sbin"];

fn collect(root: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in root.join(prefix.trim_start_matches('/')).read_dir()? {
        let entry = entry?;
        let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else if let Some(file) = resolve(root, &entry.path()) {
            files.insert(merged(&path), file);
        }
    }
    Ok(())
}

/// The file to which links lead inside of a package; none if they lead out of it, or to a directory.
fn resolve(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    // As many links as the kernel follows.
    for _ in 0..40 {
        let Ok(target) = path.read_link() else { break };
        path = match target.strip_prefix("/") {
            Ok(absolute) => root.join(absolute),
            Err(_) => path.parent()?.join(target),
        };
    }
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()).then_some(path)
}

fn merged(path: &str) -> String {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if MERGED.contains(&first) { format!("/usr{path}") } else { path.to_owned() }
}
