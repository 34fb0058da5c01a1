//! A laboratory: pods made of network namespaces, joined by one switch, with real kernel redirection.
//!
//! Every pod has a namespace, an IPv4 and an IPv6 address and a default route, as a Kubernetes pod has. The machine's
//! own network is not touched. Everything goes when the [`Lab`] is dropped; what a killed run left behind goes when
//! the next one starts.

mod namespace;
mod pod;
mod privilege;
mod process;

pub use pod::{Pod, User};
pub use privilege::{Privilege, become_root};
pub use process::Process;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use namespace::Namespace;

/// The laboratory's IPv4 network is `10.77.0.0/16`, its IPv6 network `fd77::/64`.
const SWITCH_V4: &str = "10.77.0.1";
const SWITCH_V6: &str = "fd77::1";

/// Namespaces, their switch, and a directory for what the run writes.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    switch: Namespace,
    directory: tempfile::TempDir,
}

impl Lab {
    /// Makes the switch. `name` distinguishes laboratories of one process; keep it under 5 letters, since the kernel
    /// limits interface names. Fails without the right to make namespaces: call [`become_root`] first.
    pub fn new(name: &str) -> Result<Self> {
        namespace::sweep();
        let prefix = format!("weft-{}-{name}", std::process::id());
        let switch = Namespace::new(&format!("{prefix}-switch"))?;
        switch.ip(&["link", "set", "lo", "up"])?;
        switch.ip(&["link", "add", "br0", "type", "bridge"])?;
        switch.ip(&["addr", "add", &format!("{SWITCH_V4}/16"), "dev", "br0"])?;
        switch.ip(&["addr", "add", &format!("{SWITCH_V6}/64"), "dev", "br0", "nodad"])?;
        switch.ip(&["link", "set", "br0", "up"])?;
        let directory =
            tempfile::Builder::new().prefix(&format!("{prefix}-")).tempdir().context("no directory for the run")?;
        open_to_all(directory.path())?;
        Ok(Self { prefix, switch, directory })
    }

    /// Makes a pod with the addresses `10.77.0.<index>` and `fd77::<index>`. `index` must be over 1 and used once.
    pub fn pod(&self, name: &str, index: u8) -> Result<Pod> {
        let namespace = Namespace::new(&format!("{}-{name}", self.prefix))?;
        let directory = self.directory.path().join(name);
        std::fs::create_dir_all(&directory)?;
        open_to_all(&directory)?;
        let port = format!("p{index}");
        self.switch.ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", namespace.name()])?;
        self.switch.ip(&["link", "set", &port, "master", "br0", "up"])?;
        let pod = Pod::new(name, index, namespace, directory);
        pod.configure(SWITCH_V4, SWITCH_V6)?;
        Ok(pod)
    }

    /// The switch, as a place to stand outside every pod: a client from here is not redirected.
    pub fn outside(&self) -> Pod {
        Pod::new("outside", 1, self.switch.share(), self.directory.path().to_owned())
    }

    /// Where the run writes: each pod has a directory here, with its logs.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Keeps the run's files after the laboratory is gone, and says where they are.
    pub fn keep_files(&mut self) -> PathBuf {
        self.directory.disable_cleanup(true);
        self.directory.path().to_owned()
    }
}

/// Ends and removes every laboratory of this process at once: for a program that is told to end, whose laboratories
/// other threads still use.
pub fn remove_all() {
    namespace::remove_all();
    let temporary = std::env::temp_dir();
    let Ok(entries) = std::fs::read_dir(&temporary) else { return };
    let ours = format!("weft-{}-", std::process::id());
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours)) {
        let _ = std::fs::remove_dir_all(entry.path());
    }
}

/// Proxies and applications run as other users than the test does.
fn open_to_all(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777))
        .with_context(|| format!("cannot open {} to other users", directory.display()))
}
