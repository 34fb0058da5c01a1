//! A docker daemon of our own, in namespaces of its own, for machines where none answers. Its programs are Debian's,
//! unpacked and not installed. The machine's network, mounts and processes are not touched.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cache::Cache;
use super::node::{Node, script_path};
use crate::images::debian::{self, Package};
use crate::run::{output, step};

/// The packages that have the daemon and what it starts.
const PACKAGES: &[&str] = &["containerd", "docker.io", "runc"];
/// Longer than a start takes on a machine that compiles at the same time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than it takes to stop two nodes.
const FAREWELL: Duration = Duration::from_secs(30);

/// Why no daemon can be started here, if so.
pub(crate) fn obstacle() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("no docker daemon answers, and only root can start one");
    }
    let mut namespaces = Command::new("unshare");
    namespaces.args(["--net", "--mount", "--pid", "--mount-proc", "--fork", "true"]);
    output(&mut namespaces)
        .is_err()
        .then_some("no docker daemon answers, and this machine's root cannot make namespaces for one")
}

/// Unpacks docker and its kin into one directory with `usr/bin` and `usr/sbin`.
pub(crate) fn tools(cache: &Cache) -> Result<PathBuf> {
    let packages = debian::unpack(&cache.directory("debian"), PACKAGES)?;
    let versions: Vec<String> = packages.iter().map(|one| format!("{} {}", one.name, one.version)).collect();
    let inputs = super::cache::Inputs::default().text(&versions.join(", "));
    cache.get("docker-tools", &inputs, |into| packages.iter().try_for_each(|package| copy(package, into)))
}

fn copy(package: &Package, into: &Path) -> Result<()> {
    output(Command::new("cp").arg("--archive").arg(package.root.join("usr")).arg(into)).map(|_| ())
}

/// The running daemon. Dropping it stops it and removes what it left, unless it is kept.
pub(crate) struct Daemon {
    state: PathBuf,
    tools: PathBuf,
    /// The process that waits for the daemon's namespaces; none if another run started it.
    keeper: Option<Child>,
    /// Whether it outlives this handle.
    kept: bool,
    /// The first process of its namespaces.
    init: Pid,
}

impl Daemon {
    /// Starts one. It ends with this process, even if this process is killed; `keep` leaves it to [`Daemon::find`].
    /// Call it from the main thread: the kernel ties the daemon's life to the thread that started it.
    pub(crate) fn start(cache: &Cache, tools: PathBuf, keep: bool) -> Result<Self> {
        if let Some(obstacle) = obstacle() {
            bail!("{obstacle}: start docker, or run this where root can");
        }
        let state = cache.directory("docker");
        std::fs::create_dir_all(&state)?;
        if let Some(left) = Self::find(&state, &tools) {
            println!("── Ending the docker daemon that an earlier run kept");
            drop(left);
        }
        let log = std::fs::File::create(state.join("dockerd.log"))?;
        let death = if keep { "keep" } else { "KILL" };
        let keeper = Command::new("setpriv")
            .args(["--pdeathsig", death, "unshare", "--net", "--mount", "--propagation", "private"])
            .args(["--pid", "--mount-proc", "--fork", "--kill-child=KILL"])
            .arg(script_path("dockerd.sh"))
            .args([&state, &tools])
            // Not told of a terminal's Ctrl-C: it goes last.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start a docker daemon")?;
        let init = first_child(keeper.id())?;
        std::fs::write(state.join("pid"), init.to_string())?;
        let mut daemon = Self { state, tools, keeper: Some(keeper), kept: false, init };
        daemon.wait_ready()?;
        daemon.remove_leftovers()?;
        Ok(daemon)
    }

    /// The daemon that an earlier run kept, if it lives.
    pub(crate) fn find(state: &Path, tools: &Path) -> Option<Self> {
        let init = std::fs::read_to_string(state.join("pid")).ok()?.trim().parse().ok()?;
        let command = std::fs::read_to_string(format!("/proc/{init}/cmdline")).ok()?;
        let alive = command.contains("dockerd.sh") && command.contains(&*state.to_string_lossy());
        alive.then(|| Self {
            state: state.to_owned(),
            tools: tools.to_owned(),
            keeper: None,
            kept: false,
            init: Pid::from_raw(init),
        })
    }

    /// Runs a command as one that speaks to this daemon.
    pub(crate) fn environment(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.tools.join("usr/bin")).chain(std::env::split_paths(&path));
        if let Ok(paths) = std::env::join_paths(paths) {
            command.env("PATH", paths);
        }
        command.env("DOCKER_HOST", format!("unix://{}", self.state.join("docker.sock").display()));
    }

    /// The same for a shell, which finds this kind, too.
    pub(crate) fn variables(&self, kind: &Path) -> String {
        let programs = self.tools.join("usr/bin");
        let kind = kind.parent().unwrap_or(kind);
        let socket = self.state.join("docker.sock");
        format!("DOCKER_HOST=unix://{} PATH={}:{}:$PATH ", socket.display(), kind.display(), programs.display())
    }

    /// A command that stands in the daemon's network, from where nodes and pods are reached.
    pub(crate) fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string(), "--net"]).arg(program);
        command
    }

    /// Gives it a node's image, unless it has it.
    pub(crate) fn import(&self, node: &Node) -> Result<()> {
        if self.docker(&["image", "inspect", &node.name]).is_ok() {
            return Ok(());
        }
        // Images of other inputs are of no more use to this daemon.
        if let Ok(old) = self.docker(&["image", "ls", "--quiet", "weft.dev/kind-node"]) {
            old.lines().for_each(|image| drop(self.docker(&["image", "rm", image])));
        }
        let mut import = Command::new("docker");
        self.environment(&mut import);
        import.args(["import", "--change", "ENV container=docker"]);
        import.args(["--change", r#"ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]"#]);
        step("Node: import", import.arg(&node.archive).arg(&node.name).stdout(Stdio::null()))
    }

    /// Lets it live on.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }

    /// Its first process, to be entered.
    pub(crate) fn init(&self) -> Pid {
        self.init
    }

    fn docker(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("docker");
        self.environment(&mut command);
        output(command.args(arguments).process_group(0))
    }

    fn wait_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.docker(&["version"]).is_err() {
            let ended = self.keeper.as_mut().is_some_and(|keeper| !matches!(keeper.try_wait(), Ok(None)));
            if ended || start.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.state.join("dockerd.log")).unwrap_or_default();
                bail!("the docker daemon did not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Removes what a daemon that was killed could not: containers that it remembers.
    fn remove_leftovers(&self) -> Result<()> {
        let containers = self.docker(&["container", "ls", "--all", "--quiet"])?;
        for container in containers.lines() {
            self.docker(&["container", "rm", "--force", "--volumes", container])?;
        }
        self.docker(&["volume", "prune", "--force"]).map(|_| ())
    }

    fn stop(&mut self) {
        let _ = kill(self.init, Signal::SIGTERM);
        let start = Instant::now();
        while is_alive(self.init) && start.elapsed() < FAREWELL {
            if let Some(keeper) = &mut self.keeper {
                let _ = keeper.try_wait();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // The first process of a namespace takes all others with it.
        let _ = kill(self.init, Signal::SIGKILL);
        if let Some(keeper) = &mut self.keeper {
            let _ = keeper.wait();
        }
        remove_control_groups();
        for file in ["pid", "docker.sock"] {
            let _ = std::fs::remove_file(self.state.join(file));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.kept {
            self.stop();
        }
    }
}

fn first_child(parent: u32) -> Result<Pid> {
    let start = Instant::now();
    let path = format!("/proc/{parent}/task/{parent}/children");
    loop {
        let children = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(child) = children.split_whitespace().next().and_then(|child| child.parse().ok()) {
            return Ok(Pid::from_raw(child));
        }
        if start.elapsed() > Duration::from_secs(5) {
            bail!("cannot make the namespaces of a docker daemon");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_alive(pid: Pid) -> bool {
    kill(pid, None).is_ok()
}

/// The daemon's groups are empty once its processes are gone; nobody else removes them.
fn remove_control_groups() {
    let Ok(hierarchies) = Path::new("/sys/fs/cgroup").read_dir() else { return };
    let roots = hierarchies.flatten().map(|entry| entry.path().join("weft-kind"));
    for root in roots.chain([PathBuf::from("/sys/fs/cgroup/weft-kind")]).filter(|root| root.exists()) {
        let _ = output(Command::new("find").arg(root).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]));
    }
}
