//! What is in an archive, and that it is the same every time.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use std::collections::BTreeMap;
use std::io::Read;

use oci_archive::{Digest, Image, Settings, Tree};
use serde_json::Value;

fn image() -> Image {
    let mut tree = Tree::default();
    tree.file("/usr/local/bin/hello", 0o755, "hello");
    tree.link("/usr/bin/hello", "../local/bin/hello");
    tree.directory("/tmp", 0o1777);
    let settings = Settings {
        architecture: "amd64".to_owned(),
        user: "1337:1337".to_owned(),
        entrypoint: vec!["/usr/local/bin/hello".to_owned()],
        ..Settings::default()
    };
    Image::new("docker.io/weft/hello:1", &tree, &settings).unwrap()
}

/// The files of an archive by name, with their mode.
fn unpack(archive: impl Read) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        assert_eq!((entry.header().mtime().unwrap(), entry.header().uid().unwrap()), (0, 0));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let name = entry.path().unwrap().display().to_string();
        files.insert(name, (entry.header().mode().unwrap(), content));
    }
    files
}

fn written() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hello.tar");
    image().write(&path).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn the_same_files_give_the_same_bytes() {
    assert_eq!(written(), written());
    assert_eq!(image().digest(), image().digest());
}

#[test]
fn every_blob_has_the_digest_by_which_it_is_named() {
    let files = unpack(written().as_slice());
    let blobs: Vec<_> =
        files.iter().filter_map(|(name, (_, content))| Some((name.strip_prefix("blobs/sha256/")?, content))).collect();
    assert_eq!(blobs.len(), 3);
    for (name, content) in blobs {
        assert_eq!(Digest::of(content).hex(), name);
    }
}

#[test]
fn index_and_dockers_manifest_lead_to_the_layer() {
    let files = unpack(written().as_slice());
    let json = |path: &str| serde_json::from_slice::<Value>(&files[path].1).unwrap();
    let index = json("index.json");
    let entry = &index["manifests"][0];
    assert_eq!(entry["annotations"]["io.containerd.image.name"], "docker.io/weft/hello:1");
    let manifest = json(&blob(&entry["digest"]));
    let config = json(&blob(&manifest["config"]["digest"]));
    assert_eq!(config["config"]["User"], "1337:1337");

    let docker = json("manifest.json");
    assert_eq!(docker[0]["RepoTags"][0], "docker.io/weft/hello:1");
    assert_eq!(docker[0]["Layers"][0], blob(&manifest["layers"][0]["digest"]));

    let mut packed = Vec::new();
    let compressed = &files[&blob(&manifest["layers"][0]["digest"])].1;
    flate2::read::GzDecoder::new(compressed.as_slice()).read_to_end(&mut packed).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"][0], Digest::of(&packed).to_string());
    let layer = unpack(packed.as_slice());
    assert_eq!(layer["usr/local/bin/hello"], (0o755, b"hello".to_vec()));
    assert_eq!(layer["tmp/"].0, 0o1777);
    let order: Vec<&String> = layer.keys().collect();
    assert_eq!(
        order,
        ["tmp/", "usr/", "usr/bin/", "usr/bin/hello", "usr/local/", "usr/local/bin/", "usr/local/bin/hello"]
    );
}

#[test]
fn a_path_that_leaves_the_image_is_refused() {
    let mut tree = Tree::default();
    tree.file("/a/../../b", 0o644, "");
    let error = Image::new("x:1", &tree, &Settings::default()).unwrap_err();
    assert!(format!("{error:#}").contains("/a/.."), "{error:#}");
}

fn blob(digest: &Value) -> String {
    format!("blobs/sha256/{}", digest.as_str().unwrap().trim_start_matches("sha256:"))
}
