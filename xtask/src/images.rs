//! `cargo xtask images`: the images that the charts run, as archives, made from our binaries and, where iptables is
//! needed, Debian's packages. No container builder and no registry takes part.

mod bill;
mod binaries;
mod contents;
mod crates;
pub(crate) mod debian;
mod elf;
pub(crate) mod platform;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use oci_archive::{Image, Packing, Settings, Tree};

use crate::arguments::Arguments;
use crate::packages;
use crate::run::root;
pub(crate) use binaries::static_programs;
pub(crate) use contents::add_iptables;
pub(crate) use platform::oci as architecture;

use binaries::{Binaries, Quality};
use debian::Package;

/// Where the images are said to live, unless told otherwise.
const HUB: &str = "docker.io/weft";
/// Nobody waits longer for a sidecar than for the application: the most that `proxyv2` may weigh on a node.
const MOST_OF_PROXY: usize = 40_000_000;

/// The mesh's own user and group: what it sends is not redirected into the proxy.
const MESH: &str = "1337:1337";
/// Whoever has nothing to do with the mesh.
const SOMEBODY: &str = "65532:65532";

/// What is made of what.
pub(crate) struct Request {
    pub(crate) hub: String,
    pub(crate) tag: String,
    pub(crate) release: bool,
    pub(crate) directory: PathBuf,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            hub: HUB.to_owned(),
            tag: env!("CARGO_PKG_VERSION").to_owned(),
            release: false,
            directory: root().join("target/images"),
        }
    }
}

impl Request {
    /// Reads `[--hub H] [--tag T] [--out DIRECTORY] [--release]`.
    pub(crate) fn read(arguments: &[String]) -> Result<Self> {
        let mut arguments = Arguments::new(arguments);
        let default = Self::default();
        let request = Self {
            release: arguments.flag("--release"),
            hub: arguments.option("--hub")?.unwrap_or(default.hub),
            tag: arguments.option("--tag")?.unwrap_or(default.tag),
            directory: arguments.option("--out")?.map_or(default.directory, PathBuf::from),
        };
        arguments.finish()?;
        Ok(request)
    }
}

/// Makes all images and returns their archives.
pub(crate) fn make(request: &Request) -> Result<Vec<PathBuf>> {
    packages::install(packages::IMAGES)?;
    let binaries = Binaries::build(if request.release { Quality::Release } else { Quality::Fast })?;
    let start = Instant::now();
    let packages = debian::unpack(&root().join("target/debian"), debian::IPTABLES)?;
    std::fs::create_dir_all(&request.directory)?;
    let archives =
        [pilot(request, &binaries, &packages)?, proxy(request, &binaries, &packages)?, shop(request, &binaries)?]
            .into_iter()
            .map(|image| write(&image, &request.directory))
            .collect::<Result<_>>()?;
    println!("── Images: done in {:.0} s", start.elapsed().as_secs_f64());
    Ok(archives)
}

/// The control plane, by the names that Istio's charts know.
fn pilot(request: &Request, binaries: &Binaries, packages: &[Package]) -> Result<Image> {
    let mut tree = base();
    tree.copy("/usr/local/bin/pilot-discovery", 0o755, &binaries.path("istiod"))?;
    let certificates = debian::by_name(packages, "ca-certificates")?;
    contents::add_certificates(&mut tree, certificates)?;
    contents::add_notices(&mut tree, &[certificates])?;
    bill::add(&mut tree, "pilot", &request.tag, &["istiod"], &[certificates])?;
    image(request, "pilot", ("/usr/local/bin/pilot-discovery", MESH), &tree)
}

/// The proxy, which is the image of `istio-init` too.
fn proxy(request: &Request, binaries: &Binaries, packages: &[Package]) -> Result<Image> {
    let mut tree = base();
    tree.copy("/usr/local/bin/pilot-agent", 0o755, &binaries.path("weft-proxy"))?;
    tree.copy("/usr/local/bin/weft-cni-init", 0o755, &binaries.path("weft-cni-init"))?;
    let all: Vec<&Package> = packages.iter().collect();
    contents::add_certificates(&mut tree, debian::by_name(packages, "ca-certificates")?)?;
    contents::add_iptables(&mut tree, packages)?;
    contents::add_notices(&mut tree, &all)?;
    bill::add(&mut tree, "proxyv2", &request.tag, &["weft-proxy", "weft-cni-init"], &all)?;
    let image = image(request, "proxyv2", ("/usr/local/bin/pilot-agent", MESH), &tree)?;
    if image.unpacked_size() > MOST_OF_PROXY {
        bail!("proxyv2 is over its budget: {}", megabytes(image.unpacked_size()));
    }
    Ok(image)
}

/// The applications of the end-to-end suite.
fn shop(request: &Request, binaries: &Binaries) -> Result<Image> {
    let mut tree = base();
    for program in ["weft-shop", "weft-call"] {
        tree.copy(&format!("/usr/local/bin/{program}"), 0o755, &binaries.path(program))?;
    }
    bill::add(&mut tree, "shop", &request.tag, &["e2e"], &[])?;
    image(request, "shop", ("/usr/local/bin/weft-shop", SOMEBODY), &tree)
}

/// What every image has: names of users and of where to ask for hosts, and the directories that programs expect.
fn base() -> Tree {
    let mut tree = Tree::default();
    tree.file("/etc/passwd", 0o644, "root:x:0:0::/root:/sbin/nologin\nistio-proxy:x:1337:1337::/:/sbin/nologin\n");
    tree.file("/etc/group", 0o644, "root:x:0:\nistio-proxy:x:1337:\n");
    // A static program has no other modules than these.
    tree.file("/etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n");
    tree.directory("/tmp", 0o1777);
    tree.directory("/run", 0o755);
    tree.directory("/var", 0o755);
    tree.link("/var/run", "../run");
    tree
}

/// What is started first, and as whom.
fn image(request: &Request, name: &str, (entry, user): (&str, &str), tree: &Tree) -> Result<Image> {
    let settings = Settings {
        architecture: platform::oci().to_owned(),
        user: user.to_owned(),
        entrypoint: vec![entry.to_owned()],
        environment: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        labels: vec![
            ("org.opencontainers.image.title".to_owned(), name.to_owned()),
            ("org.opencontainers.image.version".to_owned(), request.tag.clone()),
            ("org.opencontainers.image.licenses".to_owned(), env!("CARGO_PKG_LICENSE").to_owned()),
        ],
        packing: Packing::Gzip,
    };
    Image::new(&format!("{}/{name}:{}", request.hub, request.tag), tree, &settings)
}

fn write(image: &Image, directory: &Path) -> Result<PathBuf> {
    let name = image.name().rsplit('/').next().and_then(|name| name.split(':').next()).unwrap_or("image");
    let path = directory.join(format!("{name}.tar"));
    image.write(&path)?;
    println!(
        "   {:<32} {:>8} packed {:>8} unpacked  {}",
        image.name(),
        megabytes(image.compressed_size()),
        megabytes(image.unpacked_size()),
        image.digest(),
    );
    Ok(path)
}

fn megabytes(bytes: usize) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}
