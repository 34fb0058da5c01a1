//! Two sidecars that call and one that is called, over mutual TLS, each with real redirection.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::client::Call;
use e2e::story::eventually;
use mesh_testkit::lab::{Lab, Pod, Process, User};

use super::answer::Answer;
use super::bootstrap::bootstrap;
use super::control::{Control, PATIENCE};
use super::origin;
use super::table::Request;

const MESH: &str = include_str!("mesh.yaml");
const SIDECAR: &str = include_str!("sidecar.yaml");
/// HTTP's own port, where hosts that no service has are called too.
const PORT: u16 = 80;
/// The services that carry bytes, and that say nothing of their protocol.
const BYTES: ([u8; 4], u16) = ([10, 96, 0, 70], 7000);
/// The same, where the policies let nobody in.
const REFUSED: ([u8; 4], u16) = ([10, 96, 0, 70], 7003);
const UNDECLARED_HTTP: ([u8; 4], u16) = ([10, 96, 0, 71], 7001);
const UNDECLARED_BYTES: ([u8; 4], u16) = ([10, 96, 0, 71], 7002);

/// Ports of the origin, as its pod has them.
const STRICT: u16 = 9001;
const PERMISSIVE: u16 = 9005;
/// What nobody takes for HTTP.
pub(crate) const SAID: &str = "(some bytes)";
/// What a connection ends with that the other side closed without reading all.
const GONE: [ErrorKind; 3] = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::NotConnected];

/// Whose sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Plane {
    Stock,
    Ours,
}

impl Plane {
    pub(crate) const ALL: [Self; 2] = [Self::Stock, Self::Ours];
}

impl fmt::Display for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stock => "stock",
            Self::Ours => "ours",
        })
    }
}

pub(crate) struct Sidecars {
    callers: [Workload; 2],
    origin: Workload,
    control: Control,
}

impl Sidecars {
    /// Starts them in a laboratory of their own; `called` is the sidecar of the origins.
    pub(crate) fn start(lab: &Lab, envoy: &Path, called: Plane) -> Result<Self> {
        let control = Arc::new(lab.pod("control", 10)?);
        // Outside the mesh: where a call arrives that no route takes.
        origin::serve(control.clone(), PORT, "outside");
        let pod = Arc::new(lab.pod("origin", 11)?);
        origin::serve(pod.clone(), 9001, "v1");
        origin::serve(pod.clone(), 9002, "v2");
        origin::serve(pod.clone(), 9003, "h2");
        origin::serve_echo(pod.clone(), 9004);
        origin::serve(pod.clone(), 9005, "undeclared");
        origin::serve_echo(pod.clone(), 9006);
        origin::serve_echo(pod.clone(), 9007);
        let yaml = |text: &str| text.replace("ORIGIN", &pod.ip().to_string()).replace("ACCOUNT", "origin");
        let control = Control::start(lab, control, &[yaml(MESH), yaml(SIDECAR)])?;
        let origin = Workload::start(&control, envoy, called, pod, "origin")?;
        let caller = |plane: Plane, index| {
            let pod = Arc::new(lab.pod(&format!("caller-{plane}"), index)?);
            Workload::start(&control, envoy, plane, pod, "caller")
        };
        let callers = [caller(Plane::Stock, 12)?, caller(Plane::Ours, 13)?];
        let this = Self { callers, origin, control };
        for plane in Plane::ALL {
            // Each of the origins, since each has a cluster of its own to be ready.
            for path in ["/exact", "/items/1", "/http2"] {
                let probe = Call::get(this.http(), "shop.example.com", path);
                let answers = || {
                    let answer = probe.from(this.caller(plane).pod.as_ref())?;
                    ensure!(answer.status.is_success(), "{} {}", answer.status, answer.text());
                    Ok(())
                };
                eventually(PATIENCE, answers).with_context(|| format!("{plane}: {path}\n{}", this.logs(plane)))?;
            }
        }
        Ok(this)
    }

    /// Asks by a host's name, at HTTP's own port.
    pub(crate) fn ask(&self, caller: Plane, request: &Request, http2: bool) -> Result<Answer> {
        self.ask_at(self.http(), caller, request, http2)
    }

    /// Asks at a port whose protocol nobody declared.
    pub(crate) fn ask_undeclared(&self, caller: Plane, request: &Request, http2: bool) -> Result<Answer> {
        self.ask_at(UNDECLARED_HTTP.into(), caller, request, http2)
    }

    /// Asks from outside the mesh, where the origin takes plain text.
    pub(crate) fn ask_in_plain_text(&self, request: &Request, http2: bool) -> Result<Answer> {
        let address = SocketAddr::new(self.origin.pod.ip(), PERMISSIVE);
        let answer = Answer::ask(&self.control.pod, address, request, http2, &self.origin.pod);
        answer.with_context(|| format!("in plain text: {request}"))
    }

    /// Fails if the origin answers plain text where it takes none.
    pub(crate) fn is_strict(&self) -> Result<()> {
        let call = Call::get(SocketAddr::new(self.origin.pod.ip(), STRICT), "shop.example.com", "/exact");
        ensure!(call.from(&self.control.pod).is_err(), "plain text was answered");
        Ok(())
    }

    /// What comes back of some bytes by a declared, an undeclared and a forbidden port, up to the end. A connection that is
    /// closed before it is read to its end is reset, or not, by chance.
    pub(crate) fn echo(&self, caller: Plane) -> Result<[String; 3]> {
        let pod = &self.caller(caller).pod;
        let echo = |address: ([u8; 4], u16)| match pod.inside(|| Ok(echo(address.into())))? {
            Ok(text) => Ok(text),
            Err(error) if GONE.contains(&error.kind()) => Ok(String::new()),
            Err(error) => Err(error).with_context(|| format!("{caller}: {address:?}")),
        };
        Ok([echo(BYTES)?, echo(UNDECLARED_BYTES)?, echo(REFUSED)?])
    }

    /// Fails if a sidecar refused a resource.
    pub(crate) fn took_everything(&self) -> Result<()> {
        self.control.was_not_refused()
    }

    /// What a caller's sidecar and the origin's said.
    pub(crate) fn logs(&self, caller: Plane) -> String {
        format!("caller: {}\norigin: {}", self.caller(caller).process.output(), self.origin.process.output())
    }

    fn ask_at(&self, address: SocketAddr, caller: Plane, request: &Request, http2: bool) -> Result<Answer> {
        let pod = &self.caller(caller).pod;
        Answer::ask(pod, address, request, http2, pod).with_context(|| format!("{caller}: {request}"))
    }

    fn caller(&self, plane: Plane) -> &Workload {
        &self.callers[plane as usize]
    }

    fn http(&self) -> SocketAddr {
        SocketAddr::new(self.control.pod.ip(), PORT)
    }
}

/// A pod with a sidecar.
struct Workload {
    pod: Arc<Pod>,
    process: Process,
}

impl Workload {
    /// As a real pod does: first the rules, then the sidecar. `account` is its service account, and its label `app`.
    fn start(control: &Control, envoy: &Path, plane: Plane, pod: Arc<Pod>, account: &str) -> Result<Self> {
        pod.run(User::Root, control.binaries.path("weft-cni-init"), &["-d", "15090,15021,15020", "--verify"])
            .with_context(|| format!("istio-init of {}", pod.name()))?;
        let process = match plane {
            Plane::Stock => stock(control, envoy, &pod, account)?,
            Plane::Ours => ours(control, &pod, account)?,
        };
        Ok(Self { pod, process })
    }
}

/// Stock Envoy, with an agent beside it.
fn stock(control: &Control, envoy: &Path, pod: &Pod, account: &str) -> Result<Process> {
    let socket = control.agent(account, pod.directory())?;
    let ip: IpAddr = pod.ip();
    let node = format!(
        "{{id: sidecar~{ip}~{account}.default~default.svc.cluster.local, cluster: {account}.default, metadata: {{LABELS: {{app: {account}}}, NAMESPACE: default}}}}"
    );
    let file: PathBuf = pod.directory().join("envoy.yaml");
    std::fs::write(&file, bootstrap(&node, control.discovery(), &socket, 15000))?;
    let mut command = pod.command(User::Proxy, envoy);
    command.arg("-c").arg(&file).args(["--concurrency", "1", "--disable-hot-restart"]);
    pod.spawn("envoy", &mut command)
}

/// Our proxy, its own agent.
fn ours(control: &Control, pod: &Pod, account: &str) -> Result<Process> {
    let token = pod.directory().join("token");
    std::fs::write(&token, control.token(account)?)?;
    let settings = format!(r#"{{"discoveryAddress":"{}","concurrency":1}}"#, control.discovery());
    let mut command = pod.command(User::Proxy, control.binaries.path("weft-proxy"));
    command
        .args(["proxy", "sidecar", "--domain", "default.svc.cluster.local"])
        .env("POD_NAME", account)
        .env("POD_NAMESPACE", "default")
        .env("SERVICE_ACCOUNT", account)
        .env("INSTANCE_IP", pod.ip().to_string())
        .env("JWT_PATH", &token)
        .env("WEFT_STATE_DIR", pod.directory())
        .env("ISTIO_METAJSON_LABELS", format!(r#"{{"app":"{account}"}}"#))
        .env("PROXY_CONFIG", settings);
    pod.spawn("proxy", &mut command)
}

/// Says some bytes, hears them back, and then the end. (A stock Envoy that is not sure yet what is spoken
/// closes when its caller has said all.)
fn echo(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(SAID.as_bytes())?;
    let mut heard = Vec::new();
    (&stream).take(SAID.len() as u64).read_to_end(&mut heard)?;
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut heard)?;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}
