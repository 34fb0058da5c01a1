//! Container images without a builder: a [`Tree`] of files becomes a layer, layer and [`Settings`] an [`Image`], and
//! the image a tar archive that is both an OCI image layout and what `docker save` writes, so that `ctr images import`,
//! `docker load`, `kind load image-archive` and registries' tools take it as it is.
//!
//! The same files give the same bytes: entries are sorted, owned by root and dated at the epoch.

mod archive;
mod blob;
mod image;
mod tree;

pub use blob::Digest;
pub use image::{Image, Settings};
pub use tree::Tree;
