//! What is built once and used by every run, from every clone on this machine: `$XDG_CACHE_HOME/weft/kind`. Each thing
//! is named by a digest of what it is made from, so that it is rebuilt when that changes and never else.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use oci_archive::Digest;

/// What nobody has used for so long is removed.
const LONG_UNUSED: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// The file whose time says when a thing was last used.
const USED: &str = "used";

/// The directory, which one run at a time may use.
pub(crate) struct Cache {
    directory: PathBuf,
    _lock: File,
}

impl Cache {
    /// Opens the cache; waits for another run to end.
    pub(crate) fn open() -> Result<Self> {
        let directory = directory()?;
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let lock = File::create(directory.join("lock"))?;
        if lock.try_lock().is_err() {
            println!("── Waiting for another run, which uses {}", directory.display());
            lock.lock()?;
        }
        Ok(Self { directory, _lock: lock })
    }

    /// A directory that is not derived from anything.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The thing `name` made from `inputs`: what is there, or what `build` puts into an empty directory.
    pub(crate) fn get(&self, name: &str, inputs: &Inputs, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let path = self.directory.join(format!("{name}-{}", inputs.digest()));
        if !path.exists() {
            // Renamed when whole, so that an interrupted build is begun anew.
            let part = self.directory.join(format!("{name}.part"));
            remove(&part)?;
            std::fs::create_dir_all(&part)?;
            build(&part)?;
            std::fs::rename(&part, &path)?;
        }
        File::create(path.join(USED))?;
        self.sweep(name)?;
        Ok(path)
    }

    /// Removes what was made from other inputs and has not been used for long.
    fn sweep(&self, name: &str) -> Result<()> {
        let prefix = format!("{name}-");
        for entry in self.directory.read_dir()?.flatten() {
            let ours = entry.file_name().to_string_lossy().starts_with(&prefix);
            if ours && last_use(&entry.path()).is_some_and(|age| age > LONG_UNUSED) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn directory() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(cache).join("weft/kind"));
    }
    let home = std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache/weft/kind"))
}

fn last_use(path: &Path) -> Option<Duration> {
    let time = path.join(USED).metadata().ok()?.modified().ok()?;
    SystemTime::now().duration_since(time).ok()
}

fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        std::fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// What a thing is made from.
#[derive(Default)]
pub(crate) struct Inputs(Vec<u8>);

impl Inputs {
    /// With a file, or all files of a directory.
    pub(crate) fn file(mut self, path: &Path) -> Result<Self> {
        if path.is_dir() {
            let mut entries = path.read_dir()?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
            entries.sort();
            return entries.iter().try_fold(self, |inputs, entry| inputs.file(entry));
        }
        let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.add(path.file_name().unwrap_or_default().as_encoded_bytes());
        self.add(&content);
        Ok(self)
    }

    /// With some text.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.add(text.as_bytes());
        self
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.extend((bytes.len() as u64).to_le_bytes());
        self.0.extend(bytes);
    }

    /// As much of the digest as distinguishes.
    pub(crate) fn digest(&self) -> String {
        Digest::of(&self.0).hex().chars().take(16).collect()
    }
}
