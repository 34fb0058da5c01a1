//! The proxies under measurement, each a plain hop to the same origin.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const ORIGIN: u16 = 19000;
const HAPROXY: u16 = 19001;
const ENVOY: u16 = 19002;
const WEFT: u16 = 19003;
const XDS: u16 = 19010;

/// Everything that a measurement writes, gone with it.
pub(crate) struct Directory(PathBuf);

/// A proxy that runs.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    running: Running,
    /// Needed by the peer, not measured.
    _helper: Option<Running>,
}

/// A process that ends with the measurement.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Peer {
    /// CPU time so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.running.0.id()))?;
        let after = stat.rsplit_once(')').context("/proc has another form")?.1;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let ticks = |index: usize| {
            fields.get(index).and_then(|field| field.parse::<u64>().ok()).context("/proc has another form")
        };
        // Ticks are hundredths of a second on every Linux that Rust runs on.
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
    }
}

impl Directory {
    pub(crate) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("weft-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// HAProxy as origin: it answers by itself, 1 KiB.
    pub(crate) fn origin(&self) -> Result<Running> {
        let body = self.0.join("body");
        fs::write(&body, "x".repeat(1024))?;
        let frontend = format!(
            "frontend origin\n  bind 127.0.0.1:{ORIGIN}\n  http-request return status 200 content-type text/plain file {}\n",
            body.display()
        );
        self.haproxy("origin", "1", &frontend, ORIGIN)
    }

    /// HAProxy first: the others are told in ratios to it.
    pub(crate) fn peers(&self) -> Result<Vec<Peer>> {
        let hop = format!(
            "frontend hop\n  bind 127.0.0.1:{HAPROXY}\n  default_backend origin\nbackend origin\n  http-reuse always\n  server origin 127.0.0.1:{ORIGIN}\n"
        );
        let haproxy = self.haproxy("hop", "0", &hop, HAPROXY)?;
        let mut peers = vec![Peer { name: "HAProxy", port: HAPROXY, running: haproxy, _helper: None }];
        match std::env::var_os("WEFT_ENVOY") {
            Some(envoy) => peers.push(self.envoy(Path::new(&envoy))?),
            None => println!("without Envoy: WEFT_ENVOY does not name its binary"),
        }
        peers.push(self.weft()?);
        Ok(peers)
    }

    fn haproxy(&self, name: &str, core: &str, rest: &str, port: u16) -> Result<Running> {
        let file = self.0.join(format!("{name}.cfg"));
        let head = "global\n  nbthread 1\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n";
        fs::write(&file, format!("{head}{rest}"))?;
        let mut command = pinned(core, Path::new("haproxy"));
        command.args(["-db", "-q", "-f"]).arg(&file);
        self.start(name, &mut command, port)
    }

    fn envoy(&self, envoy: &Path) -> Result<Peer> {
        let file = self.0.join("envoy.yaml");
        fs::write(
            &file,
            include_str!("envoy.yaml").replace("LISTEN", &ENVOY.to_string()).replace("ORIGIN", &ORIGIN.to_string()),
        )?;
        let mut command = pinned("0", envoy);
        command.args(["--concurrency", "1", "--log-level", "error", "-c"]).arg(&file);
        let running = self.start("envoy", &mut command, ENVOY)?;
        Ok(Peer { name: "Envoy", port: ENVOY, running, _helper: None })
    }

    /// As a gateway, with all that it does for every request: routing, policies, metrics.
    fn weft(&self) -> Result<Peer> {
        let (config, ca) = (self.0.join("config"), self.0.join("ca"));
        fs::create_dir_all(&config)?;
        let yaml =
            include_str!("weft.yaml").replace("LISTEN", &WEFT.to_string()).replace("ORIGIN", &ORIGIN.to_string());
        fs::write(config.join("bench.yaml"), yaml)?;
        let mut command = Command::new(beside("istiod")?);
        command.arg("discovery").arg("--config-dir").arg(&config).arg("--ca-dir").arg(&ca);
        let local = |port: u16| format!("127.0.0.1:{port}");
        command.args(["--grpcAddr", &local(XDS), "--secureGRPCAddr", &local(XDS + 1)]);
        command.args(["--monitoringAddr", &local(XDS + 2), "--httpAddr", &local(XDS + 3)]);
        let istiod = self.start("istiod", &mut command, XDS)?;
        let token = Command::new(beside("istiod")?)
            .args(["token", "--namespace", "default", "--service-account", "bench", "--ca-dir"])
            .arg(&ca)
            .output()?;
        let file = self.0.join("token");
        fs::write(&file, token.stdout)?;
        let mut command = pinned("0", &beside("weft-proxy")?);
        command
            .args(["proxy", "router"])
            .env("POD_NAME", "bench")
            .env("INSTANCE_IP", "127.0.0.1")
            .env("SERVICE_ACCOUNT", "bench")
            .env("ISTIO_METAJSON_LABELS", r#"{"istio":"bench"}"#)
            .env("JWT_PATH", &file)
            .env("PROXY_CONFIG", format!(r#"{{"discoveryAddress":"{}","concurrency":1}}"#, local(XDS)));
        let running = self.start("weft", &mut command, WEFT)?;
        Ok(Peer { name: "Weft", port: WEFT, running, _helper: Some(istiod) })
    }

    /// Starts a process and waits until its port is open.
    fn start(&self, name: &str, command: &mut Command, port: u16) -> Result<Running> {
        let log = self.0.join(format!("{name}.log"));
        let running = command.stdout(Stdio::null()).stderr(fs::File::create(&log)?).spawn();
        let mut running = Running(running.with_context(|| format!("{name} does not start"))?);
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline || running.0.try_wait()?.is_some() {
                bail!("{name} does not listen on {port}:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }
}

fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// A program that was built with this one.
fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().context("no directory")?.join(name))
}
