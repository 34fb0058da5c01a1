//! What TLS settings are made of, and whether it has changed since.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use crate::model::{SecretName, Snapshot, TlsSecrets};

/// A secret as it was told, or a file as it was found.
pub(super) enum Source {
    Secret(Option<Arc<TlsSecrets>>),
    File(Option<Stamp>),
}

/// A file that was written anew, or replaced by another (as Kubernetes does where it mounts a Secret), differs in it.
#[derive(PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Source {
    /// What stands behind a name. The operating system's roots are read once.
    pub(super) fn of(snapshot: &Snapshot, name: &SecretName) -> Vec<Self> {
        match name {
            SecretName::Workload | SecretName::MeshRoots | SecretName::Named(_) => {
                vec![Self::Secret(snapshot.secrets.get(name).cloned())]
            }
            SecretName::Files(chain, key) => vec![Self::file(chain), Self::file(key)],
            SecretName::RootsFile(file) => vec![Self::file(file)],
            SecretName::SystemRoots => Vec::new(),
        }
    }

    pub(super) fn file(path: &str) -> Self {
        Self::File(std::fs::metadata(path).ok().as_ref().map(Stamp::of))
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Secret(Some(one)), Self::Secret(Some(other))) => Arc::ptr_eq(one, other),
            (Self::Secret(None), Self::Secret(None)) => true,
            (Self::File(one), Self::File(other)) => one == other,
            _ => false,
        }
    }
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self { inode: file.ino(), length: file.size(), seconds: file.mtime(), nanoseconds: file.mtime_nsec() }
    }
}
