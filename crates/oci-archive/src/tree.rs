//! The files of an image.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tar::{Builder, EntryType, Header};

/// Files, links and directories by their absolute path. All belong to root; parents come by themselves.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    Directory { mode: u32 },
    File { mode: u32, content: Vec<u8> },
    Link { target: String },
}

/// What a directory is that nobody asked for by name.
const PLAIN: Entry = Entry::Directory { mode: 0o755 };

impl Tree {
    /// Adds a directory.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.insert(path, Entry::Directory { mode });
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        self.insert(path, Entry::File { mode, content: content.into() });
    }

    /// Adds a file of this machine, following links.
    pub fn copy(&mut self, path: &str, mode: u32, source: &Path) -> Result<()> {
        let content = std::fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        self.file(path, mode, content);
        Ok(())
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.insert(path, Entry::Link { target: target.to_owned() });
    }

    /// Whether something is at a path.
    pub fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(relative(path))
    }

    /// The bytes of all files.
    pub fn size(&self) -> usize {
        self.entries.values().map(|entry| if let Entry::File { content, .. } = entry { content.len() } else { 0 }).sum()
    }

    fn insert(&mut self, path: &str, entry: Entry) {
        let path = relative(path);
        for (index, _) in path.match_indices('/') {
            self.entries.entry(path[..index].to_owned()).or_insert(PLAIN);
        }
        self.entries.insert(path.to_owned(), entry);
    }

    /// The tree as a tar archive, parents before children.
    pub(crate) fn pack(&self) -> Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            append(&mut archive, path, entry).with_context(|| format!("cannot pack /{path}"))?;
        }
        Ok(archive.into_inner()?)
    }
}

fn append(archive: &mut Builder<Vec<u8>>, path: &str, entry: &Entry) -> Result<()> {
    if path.is_empty() || path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        bail!("this is no plain path");
    }
    let mut header = Header::new_ustar();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    match entry {
        Entry::Directory { mode } => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            header.set_size(0);
            archive.append_data(&mut header, format!("{path}/"), std::io::empty())?;
        }
        Entry::File { mode, content } => {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content.as_slice())?;
        }
        Entry::Link { target } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            archive.append_link(&mut header, path, target)?;
        }
    }
    Ok(())
}

fn relative(path: &str) -> &str {
    path.trim_matches('/')
}
