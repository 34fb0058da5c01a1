//! A pod: a namespace with addresses, in which processes run as the users that a mesh pod has.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use super::namespace::Namespace;
use super::process::Process;

/// As whom a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// As root: `istio-init`.
    Root,
    /// As the proxy's user, 1337, whom redirection spares.
    Proxy,
    /// As the application's user, 1000.
    Application,
}

/// A pod of the laboratory.
#[derive(Debug)]
pub struct Pod {
    name: String,
    index: u8,
    namespace: Namespace,
    directory: PathBuf,
}

impl Pod {
    pub(super) fn new(name: &str, index: u8, namespace: Namespace, directory: PathBuf) -> Self {
        Self { name: name.to_owned(), index, namespace, directory }
    }

    pub(super) fn configure(&self, gateway_v4: &str, gateway_v6: &str) -> Result<()> {
        let ip = |args: &[&str]| self.namespace.ip(args);
        ip(&["link", "set", "lo", "up"])?;
        ip(&["addr", "add", &format!("{}/16", self.v4()), "dev", "eth0"])?;
        ip(&["addr", "add", &format!("{}/64", self.v6()), "dev", "eth0", "nodad"])?;
        ip(&["link", "set", "eth0", "up"])?;
        ip(&["route", "add", "default", "via", gateway_v4])?;
        ip(&["-6", "route", "add", "default", "via", gateway_v6])
    }

    /// Joins two pods by a wire of their own, with no switch between: as the nodes of two pods are joined, at the least cost.
    /// They find each other at [`Pod::wire`] then. A pod has at most one such wire.
    pub fn join(&self, other: &Self) -> Result<()> {
        let wire = ["link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", other.namespace.name()];
        self.namespace.ip(&wire)?;
        for pod in [self, other] {
            pod.namespace.ip(&["addr", "add", &format!("{}/24", pod.wire()), "dev", "wire"])?;
            pod.namespace.ip(&["link", "set", "wire", "up"])?;
        }
        Ok(())
    }

    /// The pod's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace's name, for `ip netns exec`.
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// Its IPv4 address.
    pub fn v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, self.index)
    }

    /// Its address on the wire to another pod, `10.78.0.<index>`: see [`Pod::join`].
    pub fn wire(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 78, 0, self.index)
    }

    /// Its IPv6 address.
    pub fn v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, self.index.into())
    }

    /// Its primary address.
    pub fn ip(&self) -> IpAddr {
        self.v4().into()
    }

    /// The pod's directory: logs, and whatever a test puts there.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Gives the pod a hosts file of its own, as the cluster's DNS would answer.
    pub fn set_hosts(&self, hosts: &[(IpAddr, &str)]) -> Result<()> {
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost\n");
        for (address, name) in hosts {
            writeln!(text, "{address} {name}")?;
        }
        std::fs::write(self.hosts_file(), text).context("cannot write the pod's hosts file")
    }

    /// A command that will run in the pod as `user`, with the pod's hosts file if it has one.
    pub fn command(&self, user: User, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.namespace.name(), "sh", "-c"]);
        // The `ip` tool has given the command a mount namespace of its own.
        let hosts = self.hosts_file();
        command.arg(r#"[ ! -e "$0" ] || mount --bind "$0" /etc/hosts; exec "$@""#).arg(&hosts);
        let id = match user {
            User::Root => None,
            User::Proxy => Some("1337"),
            User::Application => Some("1000"),
        };
        if let Some(id) = id {
            command.args(["setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--pdeathsig", "KILL", "--"]);
        }
        command.arg(program.as_ref());
        command
    }

    /// Runs a command to its end and returns what it printed. Fails if the command does, with what it said.
    pub fn run(&self, user: User, program: impl AsRef<Path>, args: &[&str]) -> Result<String> {
        let output = self.command(user, &program).args(args).output()?;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(anyhow!("{} in {}: {}", program.as_ref().display(), self.name, output.status)
                .context(format!("{stdout}{stderr}")));
        }
        Ok(stdout.into_owned())
    }

    /// Starts a process whose output goes to `<log>.log` in the pod's directory.
    pub fn spawn(&self, log: &str, command: &mut Command) -> Result<Process> {
        Process::spawn(command, &self.directory.join(format!("{log}.log")))
    }

    /// Runs `work` on a thread inside the pod, as root: its connections are redirected as an application's are.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.namespace.enter()?;
                work()
            });
            thread.join().map_err(|_| anyhow!("the work in pod {} panicked", self.name))?
        })
    }

    fn hosts_file(&self) -> PathBuf {
        self.directory.join(format!("{}.hosts", self.name))
    }
}
