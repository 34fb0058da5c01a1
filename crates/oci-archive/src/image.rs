//! One image: its layer, what runs in it, and its manifest.

use std::io::Write;

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};

use crate::Tree;
use crate::blob::{Blob, Digest};

/// What runs in an image, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The architecture as Go names it: `amd64`, `arm64`.
    pub architecture: String,
    /// User and group, as numbers, so that Kubernetes can see that it is not root. Empty means root.
    pub user: String,
    /// What is run.
    pub entrypoint: Vec<String>,
    /// Variables, as `NAME=value`.
    pub environment: Vec<String>,
    /// What is said about it, by the names of the OCI's annotations.
    pub labels: Vec<(String, String)>,
}

/// An image of one layer.
#[derive(Clone, Debug)]
pub struct Image {
    pub(crate) name: String,
    pub(crate) layer: Blob,
    pub(crate) config: Blob,
    pub(crate) manifest: Blob,
    pub(crate) architecture: String,
    unpacked: usize,
}

impl Image {
    /// Makes an image by the name `<registry>/<repository>:<tag>`.
    pub fn new(name: &str, tree: &Tree, settings: &Settings) -> Result<Self> {
        let packed = tree.pack()?;
        let config = serde_json::to_vec(&config(settings, &Digest::of(&packed)))?;
        let config = Blob::new("application/vnd.oci.image.config.v1+json", config);
        let layer = Blob::new("application/vnd.oci.image.layer.v1.tar+gzip", compress(&packed)?);
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
        }))?;
        Ok(Self {
            name: name.to_owned(),
            layer,
            config,
            manifest: Blob::new(MANIFEST, manifest),
            architecture: settings.architecture.clone(),
            unpacked: tree.size(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of its manifest, which is the image's.
    pub fn digest(&self) -> &Digest {
        &self.manifest.digest
    }

    /// What travels over a network when it is pulled, in bytes.
    pub fn compressed_size(&self) -> usize {
        self.layer.bytes.len() + self.config.bytes.len() + self.manifest.bytes.len()
    }

    /// What its files take on a node, in bytes.
    pub fn unpacked_size(&self) -> usize {
        self.unpacked
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn config(settings: &Settings, layer: &Digest) -> Value {
    let labels: serde_json::Map<String, Value> =
        settings.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "architecture": settings.architecture,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "User": settings.user,
            "Entrypoint": settings.entrypoint,
            "Env": settings.environment,
            "Labels": labels,
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": [layer.to_string()] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "cargo xtask images" }],
    })
}

/// Gzip without a name and a date, which would differ between builds.
fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
