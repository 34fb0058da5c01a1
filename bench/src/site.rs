//! Where everything runs: two pods on one wire, with the rules of a mesh in both, origins in one of them, and a control
//! plane aside.

pub(crate) mod origin;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use mesh_testkit::lab::{Lab, Pod, Process, User};
use nix::unistd::Uid;

use crate::certificates::Certificates;
use crate::peer::{self, ControlPlane, Side};

/// The user that redirection spares.
pub(crate) const PROXY: Uid = Uid::from_raw(1337);
/// The core of both proxies of a pair.
pub(crate) const PROXIES: Core = Core(0);
/// The core of load, origins and the control plane.
pub(crate) const LOAD: Core = Core(1);

/// What both pods' kernels are told, under `/proc/sys/net`: connections come and go by the ten thousand, and neither their
/// ports nor their entries in the table of connections may run out.
const KERNEL: &[(&str, &str)] = &[
    ("ipv4/ip_local_port_range", "20000 65535"),
    ("ipv4/tcp_tw_reuse", "1"),
    ("netfilter/nf_conntrack_tcp_timeout_time_wait", "1"),
];

/// A core of the machine.
#[derive(Clone, Copy)]
pub(crate) struct Core(usize);

/// The place of a run. Dropping it ends and removes everything.
pub(crate) struct Site {
    pub(crate) control_plane: ControlPlane,
    pub(crate) certificates: Certificates,
    client: Pod,
    server: Pod,
    /// The control plane's.
    pub(crate) control: Pod,
    /// How often each peer is measured.
    pub(crate) rounds: u8,
    /// Where the programs are that were built with this one.
    pub(crate) binaries: PathBuf,
    /// Our proxy: one of these, unless another was asked for.
    pub(crate) proxy: PathBuf,
    lab: Lab,
}

impl Site {
    /// Makes the place.
    pub(crate) fn open(rounds: u8) -> Result<Self> {
        let cores = std::thread::available_parallelism()?;
        if cores.get() < 2 {
            bail!("two cores are needed: one for the proxies, one for load and origins");
        }
        let binaries = std::env::current_exe()?.parent().context("no directory")?.to_owned();
        let lab = Lab::new("bench")?;
        let (control, client, server) = (lab.pod("control", 2)?, lab.pod("client", 3)?, lab.pod("server", 4)?);
        client.join(&server)?;
        for (pod, side) in [(&client, Side::Client), (&server, Side::Server)] {
            redirect(pod, side, &binaries).with_context(|| format!("the rules of pod {}", pod.name()))?;
            prepare_kernel(pod).with_context(|| format!("the kernel's settings of pod {}", pod.name()))?;
        }
        let directory = control.directory();
        let certificates = Certificates::new(&directory.join("authority"), lab.directory())?;
        let objects = peer::objects(client.wire(), server.wire());
        let control_plane = ControlPlane::start(&control, &binaries, "mesh", 15010, &objects)?;
        let proxy = binaries.join("weft-proxy");
        Ok(Self { control_plane, certificates, client, server, control, rounds, binaries, proxy, lab })
    }

    /// Starts the origins, which answer until they are dropped.
    pub(crate) fn origins(&self) -> Result<Vec<Process>> {
        origin::start(&self.server)
    }

    /// The same for HTTP/1.1 alone.
    pub(crate) fn http_origin(&self) -> Result<Process> {
        origin::http(&self.server)
    }

    /// A pod by its side of the wire.
    pub(crate) fn pod(&self, side: Side) -> &Pod {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// The server's address on the wire.
    pub(crate) fn server(&self) -> Ipv4Addr {
        self.server.wire()
    }

    /// Where the origin answers without a proxy.
    pub(crate) fn direct(&self) -> SocketAddr {
        (self.server(), origin::PLAIN).into()
    }

    /// The same with another proxy than the one that was built with this program.
    pub(crate) fn with_proxy(self, proxy: &Path) -> Result<Self> {
        let proxy = proxy.canonicalize().with_context(|| proxy.display().to_string())?;
        Ok(Self { proxy, ..self })
    }

    /// A new directory for a run of a proxy, which runs as another user.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.lab.directory().join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).context("a directory")?;
        Ok(path)
    }

    /// Keeps the run's files, and says where they are.
    pub(crate) fn keep_files(&mut self) -> PathBuf {
        self.lab.keep_files()
    }

    /// A command in the client's pod, on the core of the load, as an application.
    pub(crate) fn load(&self, program: &str) -> Command {
        LOAD.command(&self.client, User::Application, Path::new(program))
    }

    /// Work in the client's pod, on the core of the load.
    pub(crate) fn as_load<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.client.inside(|| {
            LOAD.take()?;
            work()
        })
    }

    /// The same, as the proxy's user: these connections are not redirected into the client's sidecar.
    pub(crate) fn as_proxy<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.as_load(|| {
            nix::unistd::setfsuid(PROXY);
            work()
        })
    }
}

impl Core {
    /// A command in a pod that stays on this core.
    pub(crate) fn command(self, pod: &Pod, user: User, program: &Path) -> Command {
        let mut command = pod.command(user, "taskset");
        command.args(["-c", &self.0.to_string()]).arg(program);
        command
    }

    /// Keeps the calling thread, and what it starts, on this core.
    pub(crate) fn take(self) -> Result<()> {
        let mut set = nix::sched::CpuSet::new();
        set.set(self.0)?;
        nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).context("cannot stay on one core")
    }
}

/// The rules that bring connections into proxies. Those to the origin without one are left alone.
fn redirect(pod: &Pod, side: Side, binaries: &Path) -> Result<()> {
    let excluded = format!("15090,15021,15020,{}", origin::PLAIN);
    pod.run(User::Root, binaries.join("weft-cni-init"), &["-d", &excluded, "--verify"])?;
    for rule in peer::redirections(side) {
        pod.run(User::Root, "iptables", &rule.split(' ').collect::<Vec<_>>())?;
    }
    Ok(())
}

fn prepare_kernel(pod: &Pod) -> Result<()> {
    pod.inside(|| {
        KERNEL.iter().try_for_each(|(name, value)| {
            let path = Path::new("/proc/sys/net").join(name);
            fs::write(&path, value).with_context(|| format!("{} = {value}", path.display()))
        })
    })
}
