//! Two gateways beside each other.

use std::net::SocketAddr;
use std::path::Path;
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
const GATEWAY: &str = include_str!("gateway.yaml");
const PORT: u16 = 8080;

pub(crate) struct Gateways {
    client: Pod,
    envoy: Arc<Pod>,
    ours: Arc<Pod>,
    control: Control,
    _processes: Vec<Process>,
}

impl Gateways {
    pub(crate) fn start(lab: &Lab, envoy_binary: &Path) -> Result<Self> {
        let pod = Arc::new(lab.pod("control", 10)?);
        let (envoy, ours) = (Arc::new(lab.pod("envoy", 11)?), Arc::new(lab.pod("ours", 12)?));
        origin::serve(pod.clone(), 9001, "v1");
        origin::serve(pod.clone(), 9002, "v2");
        origin::serve(pod.clone(), 9003, "h2");
        let mesh = MESH.replace("ORIGIN", &pod.ip().to_string()).replace("ACCOUNT", "''");
        let control = Control::start(lab, pod, &[mesh, GATEWAY.to_owned()])?;
        let token_file = lab.directory().join("token");
        std::fs::write(&token_file, control.token("edge")?)?;
        let discovery = control.discovery();
        let mut proxy = ours.command(User::Root, control.binaries.path("weft-proxy"));
        proxy
            .args(["proxy", "router", "--domain", "default.svc.cluster.local"])
            .env("POD_NAME", "edge")
            .env("POD_NAMESPACE", "default")
            .env("SERVICE_ACCOUNT", "edge")
            .env("INSTANCE_IP", ours.ip().to_string())
            .env("JWT_PATH", &token_file)
            .env("ISTIO_METAJSON_LABELS", r#"{"istio":"ingress"}"#)
            .env("PROXY_CONFIG", format!(r#"{{"discoveryAddress":"{discovery}","concurrency":1}}"#));
        let proxy = ours.spawn("proxy", &mut proxy)?;
        let file = lab.directory().join("envoy.yaml");
        let node = format!(
            "{{id: router~{}~edge.default~default.svc.cluster.local, cluster: edge.default, metadata: {{LABELS: {{istio: ingress}}, NAMESPACE: default}}}}",
            envoy.ip()
        );
        let agent = control.agent("edge", envoy.directory())?;
        std::fs::write(&file, bootstrap(&node, discovery, &agent, 15000))?;
        let mut command = envoy.command(User::Root, envoy_binary);
        command.arg("-c").arg(&file).args(["--concurrency", "1", "--disable-hot-restart"]);
        let stock = envoy.spawn("envoy", &mut command)?;
        let this = Self { client: lab.outside(), envoy, ours, control, _processes: vec![proxy, stock] };
        for (name, pod) in [("envoy", &this.envoy), ("ours", &this.ours)] {
            let probe = Call::get(SocketAddr::new(pod.ip(), PORT), "shop.example.com", "/exact");
            eventually(PATIENCE, || {
                ensure!(probe.from(&this.client)?.status.is_success());
                Ok(())
            })
            .with_context(|| {
                format!("the gateway {name}: {}", this._processes.iter().map(Process::output).collect::<String>())
            })?;
        }
        Ok(this)
    }

    pub(crate) fn ask_envoy(&self, request: &Request, http2: bool) -> Result<Answer> {
        self.ask(&self.envoy, request, http2)
    }

    pub(crate) fn ask_ours(&self, request: &Request, http2: bool) -> Result<Answer> {
        self.ask(&self.ours, request, http2)
    }

    /// Fails if a gateway refused a resource.
    pub(crate) fn took_everything(&self) -> Result<()> {
        self.control.was_not_refused()
    }

    fn ask(&self, pod: &Pod, request: &Request, http2: bool) -> Result<Answer> {
        let answer = Answer::ask(&self.client, SocketAddr::new(pod.ip(), PORT), request, http2, pod);
        answer.with_context(|| format!("{} {request}", pod.name()))
    }
}
