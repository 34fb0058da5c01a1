//! A workload of the laboratory: a pod with `istio-init`, `istio-proxy` and an application, as the injector makes it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mesh_testkit::lab::{Lab, Pod, Process, User};

use super::binaries::Binaries;
use super::control_plane::ControlPlane;
use super::objects::{self, PodObject};
use super::{INGRESS, NAMESPACE, service_ip};
use crate::client::{Answer, Call};
use crate::shop::Role;
use crate::story::eventually;

/// How long a proxy may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where the proxy says whether it is ready.
const READY_PORT: u16 = 15021;

/// What a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A service of the shop with a sidecar.
    Service(Role),
    /// A client without an application, with a sidecar.
    Client,
    /// The ingress gateway.
    Gateway,
    /// A client without a sidecar: outside the mesh.
    Stranger,
}

/// A running workload.
pub struct Workload {
    name: String,
    kind: Kind,
    version: String,
    pod: Arc<Pod>,
    binaries: Binaries,
    proxy: Option<Process>,
    application: Option<Process>,
}

impl Workload {
    pub(super) fn start(
        lab: &Lab,
        binaries: &Binaries,
        control_plane: &ControlPlane,
        kind: Kind,
        version: &str,
        index: u8,
    ) -> Result<Self> {
        let name = match kind {
            Kind::Service(role) => format!("{}-{version}", role.name()),
            Kind::Client => "client".to_owned(),
            Kind::Gateway => "ingress".to_owned(),
            Kind::Stranger => "stranger".to_owned(),
        };
        let pod = lab.pod(&name, index)?;
        pod.set_hosts(&hosts())?;
        let mut this = Self {
            name,
            kind,
            version: version.to_owned(),
            pod: Arc::new(pod),
            binaries: binaries.clone(),
            proxy: None,
            application: None,
        };
        // The order of a real pod: rules first, then the proxy, then the application.
        if matches!(kind, Kind::Service(_) | Kind::Client) {
            this.pod
                .run(User::Root, binaries.path("weft-cni-init"), &["-d", "15090,15021,15020", "--verify"])
                .with_context(|| format!("istio-init of {}", this.name))?;
        }
        if kind != Kind::Stranger {
            this.write_credentials(control_plane)?;
            this.run_proxy(control_plane)?;
        }
        if let Kind::Service(role) = kind {
            this.application = Some(this.run_application(role)?);
        }
        Ok(this)
    }

    /// Its name, such as `reviews-v1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its pod.
    pub fn pod(&self) -> &Arc<Pod> {
        &self.pod
    }

    /// Its proxy, if it runs.
    pub fn proxy(&mut self) -> Option<&mut Process> {
        self.proxy.as_mut()
    }

    /// What its proxy logged.
    pub fn proxy_output(&self) -> String {
        self.proxy.as_ref().map(Process::output).unwrap_or_default()
    }

    /// Starts the proxy, if it does not run.
    pub fn run_proxy(&mut self, control_plane: &ControlPlane) -> Result<()> {
        let role = if self.kind == Kind::Gateway { "router" } else { "sidecar" };
        let mut command = self.pod.command(User::Proxy, self.binaries.path("weft-proxy"));
        command.args(["proxy", role, "--domain", &format!("{}.svc.cluster.local", self.namespace())]);
        self.set_environment(&mut command, control_plane)?;
        self.proxy = Some(self.pod.spawn("proxy", &mut command)?);
        Ok(())
    }

    /// Tells the application and the proxy to end, at the same time, as a kubelet does, and waits until they have.
    pub(super) fn end(&mut self) -> Result<()> {
        let processes = || self.application.iter().chain(&self.proxy);
        processes().try_for_each(Process::terminate)?;
        for process in self.application.iter_mut().chain(&mut self.proxy) {
            let status = process.wait(PATIENCE)?;
            ensure!(status.success(), "a process of {} ended with {status}", self.name);
        }
        Ok(())
    }

    /// Runs them again, and waits until the proxy is ready.
    pub(super) fn begin(&mut self, control_plane: &ControlPlane) -> Result<()> {
        self.run_proxy(control_plane)?;
        if let Kind::Service(role) = self.kind {
            self.application = Some(self.run_application(role)?);
        }
        self.wait_ready()
    }

    /// Waits until the proxy is ready.
    pub fn wait_ready(&self) -> Result<()> {
        if self.proxy.is_none() {
            return Ok(());
        }
        let ready = || match self.status("/healthz/ready")? {
            answer if answer.status.is_success() => Ok(()),
            answer => bail!("not ready: {} {}", answer.status, answer.text()),
        };
        let waited = eventually(PATIENCE, ready);
        waited.with_context(|| format!("the proxy of {}; it said:\n{}", self.name, self.proxy_output()))?;
        Ok(())
    }

    /// A page of the proxy's status port.
    pub fn status(&self, path: &str) -> Result<Answer> {
        Call::get(SocketAddr::from(([127, 0, 0, 1], READY_PORT)), "localhost", path).from(&self.pod)
    }

    /// A page of the proxy's admin port.
    pub fn admin(&self, path: &str) -> Result<Answer> {
        Call::get(SocketAddr::from(([127, 0, 0, 1], 15000)), "localhost", path).from(&self.pod)
    }

    /// The pod, as the API server would show it: running, or told to end.
    pub(super) fn object(&self, ending: bool) -> String {
        let mut labels = self.labels();
        if matches!(self.kind, Kind::Service(_) | Kind::Client) {
            // The injector's word that there is a proxy.
            labels.push(("security.istio.io/tlsMode", "istio"));
        }
        objects::pod(&PodObject {
            name: &self.name,
            namespace: self.namespace(),
            service_account: self.app(),
            labels: &labels,
            ip: self.pod.ip(),
            ending,
        })
    }

    fn labels(&self) -> Vec<(&str, &str)> {
        let mut labels = vec![("app", self.app()), ("version", self.version.as_str())];
        if self.kind == Kind::Gateway {
            labels.push(("istio", "ingress"));
        }
        labels
    }

    fn app(&self) -> &str {
        match self.kind {
            Kind::Service(role) => role.name(),
            Kind::Client | Kind::Gateway | Kind::Stranger => &self.name,
        }
    }

    fn namespace(&self) -> &'static str {
        if self.kind == Kind::Gateway { INGRESS } else { NAMESPACE }
    }

    fn run_application(&self, role: Role) -> Result<Process> {
        let mut command = self.pod.command(User::Application, self.binaries.path("weft-shop"));
        command.args([role.name(), "--version", &self.version, "--pod", &self.name]);
        self.pod.spawn("application", &mut command)
    }

    fn write_credentials(&self, control_plane: &ControlPlane) -> Result<()> {
        let token = control_plane.token(self.namespace(), self.app())?;
        std::fs::write(self.file("istio-token"), token)?;
        std::fs::copy(control_plane.root_certificates(), self.file("root-cert.pem"))
            .context("the mesh's root certificates")?;
        Ok(())
    }

    fn set_environment(&self, command: &mut Command, control_plane: &ControlPlane) -> Result<()> {
        let address = control_plane.address();
        let labels: Vec<String> = self.labels().iter().map(|(key, value)| format!("{key:?}:{value:?}")).collect();
        let labels = format!("{{{}}}", labels.join(","));
        command
            .env("POD_NAME", &self.name)
            .env("WEFT_STATE_DIR", self.pod.directory())
            .env("POD_NAMESPACE", self.namespace())
            .env("INSTANCE_IP", self.pod.ip().to_string())
            .env("SERVICE_ACCOUNT", self.app())
            .env("TRUST_DOMAIN", "cluster.local")
            .env("ISTIO_META_CLUSTER_ID", "Kubernetes")
            .env("ISTIO_META_WORKLOAD_NAME", &self.name)
            .env("ISTIO_METAJSON_LABELS", labels)
            .env("CA_ADDR", address.to_string())
            .env("XDS_ROOT_CA", self.file("root-cert.pem"))
            .env("CA_ROOT_CA", self.file("root-cert.pem"))
            .env("JWT_PATH", self.file("istio-token"))
            .env(
                "PROXY_CONFIG",
                format!(r#"{{"discoveryAddress":"{address}","concurrency":1,"terminationDrainDuration":"1s"}}"#),
            );
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(self.pod.directory()).join(name)
    }
}

/// What the cluster's DNS would answer.
fn hosts() -> Vec<(std::net::IpAddr, &'static str)> {
    let roles = [Role::Productpage, Role::Details, Role::Reviews, Role::Ratings];
    roles.into_iter().map(|role| (service_ip(role), role.name())).collect()
}
