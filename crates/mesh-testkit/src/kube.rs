//! A Kubernetes API server: the real one on the real etcd, as two processes on loopback, for tests that need nothing
//! of a cluster but its API. There are no nodes and no controllers: what a controller would write, the test writes.

mod credentials;
mod port;
mod tethered;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use credentials::Credentials;
use port::Port;
use tethered::Tethered;

/// Where the binary of the API server is told.
pub const APISERVER_VARIABLE: &str = "WEFT_KUBE_APISERVER";
/// Where the binary of etcd is told.
pub const ETCD_VARIABLE: &str = "WEFT_ETCD";

/// Longer than a start takes on a machine that compiles at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running API server, empty but for what it makes itself. Dropping it ends and removes everything; both processes
/// end with this one, whatever ends it.
#[derive(Debug)]
pub struct ApiServer {
    // In this order: the API server ends before etcd, and both before their files go.
    server: Option<Tethered>,
    _etcd: Tethered,
    etcd_port: Port,
    port: Port,
    binary: PathBuf,
    credentials: Credentials,
    directory: tempfile::TempDir,
}

impl ApiServer {
    /// Starts one and waits until it is ready. Fails if the binaries are not told: `cargo xtask test` builds them and
    /// tells.
    pub fn start() -> Result<Self> {
        let (binary, etcd) = (binary(APISERVER_VARIABLE)?, binary(ETCD_VARIABLE)?);
        let directory = tempfile::Builder::new().prefix("weft-kube-").tempdir()?;
        let (port, etcd_port) = (Port::reserve()?, Port::reserve()?);
        let credentials = Credentials::write(directory.path(), &url(&port))?;
        let etcd = start_etcd(&etcd, directory.path(), &etcd_port)?;
        let mut server = Self { server: None, _etcd: etcd, etcd_port, port, binary, credentials, directory };
        server.resume()?;
        Ok(server)
    }

    /// A kubeconfig whose user may do everything.
    pub fn kubeconfig(&self) -> &Path {
        &self.credentials.kubeconfig
    }

    /// Where it listens: `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        url(&self.port)
    }

    /// Kills the API server alone, as a crash does. What it knew stays in etcd.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it again at the same address after [`kill`](Self::kill), and waits until it is ready.
    pub fn resume(&mut self) -> Result<()> {
        let mut server = Tethered::spawn(&mut self.command(), &self.directory.path().join("kube-apiserver.log"))?;
        let start = Instant::now();
        while !self.is_ready() {
            if !server.is_running() || start.elapsed() > PATIENCE {
                bail!("the API server did not become ready:\n{}", server.last_words());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.server = Some(server);
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port.number()))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", self.port.number()))
            .arg("--permit-port-sharing")
            .arg(format!("--tls-cert-file={}", self.credentials.certificate.display()))
            .arg(format!("--tls-private-key-file={}", self.credentials.key.display()))
            .arg(format!("--token-auth-file={}", self.credentials.tokens.display()))
            .arg("--authorization-mode=RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
            .arg(format!("--service-account-key-file={}", self.credentials.account_public_key.display()))
            .arg(format!("--service-account-signing-key-file={}", self.credentials.account_key.display()))
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg("--allow-privileged")
            // No controller makes the accounts that this would ask for.
            .arg("--disable-admission-plugins=ServiceAccount")
            // Tests end the server on purpose; nobody needs to hear of it first.
            .arg("--shutdown-delay-duration=0s");
        command
    }

    fn is_ready(&self) -> bool {
        Command::new("curl")
            .args(["--silent", "--fail", "--max-time", "5", "--output", "/dev/null", "--cacert"])
            .arg(&self.credentials.root)
            .arg("--header")
            .arg(format!("Authorization: Bearer {}", self.credentials.token))
            .arg(format!("{}/readyz", self.url()))
            .status()
            .is_ok_and(|status| status.success())
    }
}

fn start_etcd(binary: &Path, directory: &Path, port: &Port) -> Result<Tethered> {
    let url = format!("http://127.0.0.1:{}", port.number());
    let mut command = Command::new(binary);
    command
        .arg("--data-dir")
        .arg(directory.join("etcd"))
        .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
        // It has no peers: any port does.
        .args(["--listen-peer-urls", "http://127.0.0.1:0"])
        .args(["--socket-reuse-port", "--unsafe-no-fsync", "--log-level", "warn"]);
    Tethered::spawn(&mut command, &directory.join("etcd.log"))
}

fn url(port: &Port) -> String {
    format!("https://127.0.0.1:{}", port.number())
}

fn binary(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from).with_context(|| {
        format!("{variable} does not say where the binary is: run `cargo xtask setup` and export what it prints")
    })?;
    if !path.is_file() {
        bail!("{variable} says {}, where there is nothing", path.display());
    }
    Ok(path)
}
