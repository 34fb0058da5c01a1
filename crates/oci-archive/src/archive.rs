//! The archive that carries an image.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::Image;

impl Image {
    /// Writes the image as a tar archive of the OCI image layout. Besides, it has the `manifest.json` by which docker
    /// before version 25 finds its way.
    pub fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut archive = Builder::new(BufWriter::new(file));
        append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        append(&mut archive, "index.json", &serde_json::to_vec(&self.index())?)?;
        append(&mut archive, "manifest.json", &serde_json::to_vec(&self.docker_manifest())?)?;
        for blob in [&self.manifest, &self.config, &self.layer] {
            append(&mut archive, &blob.path(), &blob.bytes)?;
        }
        archive.into_inner()?.into_inner().context("cannot finish the archive")?;
        Ok(())
    }

    fn index(&self) -> Value {
        let mut manifest = self.manifest.descriptor();
        manifest["platform"] = json!({ "architecture": self.architecture, "os": "linux" });
        // containerd names the image by the first, tools of the OCI by the second.
        manifest["annotations"] = json!({
            "io.containerd.image.name": self.name,
            "org.opencontainers.image.ref.name": self.name.rsplit(':').next(),
        });
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [manifest],
        })
    }

    fn docker_manifest(&self) -> Value {
        json!([{ "Config": self.config.path(), "RepoTags": [self.name], "Layers": [self.layer.path()] }])
    }
}

fn append(archive: &mut Builder<BufWriter<File>>, path: &str, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes).with_context(|| format!("cannot write {path}"))
}
