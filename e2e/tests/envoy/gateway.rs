//! Two gateways beside each other.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::client::Call;
use e2e::mesh::Binaries;
use e2e::story::eventually;
use http::Method;
use mesh_testkit::lab::{Lab, Pod, Process, User};

use super::bootstrap::bootstrap;
use super::origin;
use super::table::Request;

const YAML: &str = include_str!("mesh.yaml");
const PATIENCE: Duration = Duration::from_secs(30);
const PORT: u16 = 8080;
/// What differs from call to call, or names the data plane, or tells of time.
const IGNORED: [&str; 6] = [
    "date",
    "x-request-id",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-decorator-operation",
    "x-envoy-peer-metadata",
    "x-envoy-peer-metadata-id",
];

pub(crate) struct Gateways {
    client: Pod,
    envoy: Arc<Pod>,
    ours: Arc<Pod>,
    _processes: Vec<Process>,
}

/// An answer, as far as it should be the same.
#[derive(PartialEq, Eq)]
pub(crate) struct Answer {
    status: u16,
    fields: BTreeMap<String, Vec<String>>,
    body: String,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.fields, self.body)
    }
}

impl Gateways {
    pub(crate) fn start(lab: &Lab, envoy_binary: &Path) -> Result<Self> {
        let binaries = Binaries::find()?;
        let control = Arc::new(lab.pod("control", 10)?);
        let (envoy, ours) = (Arc::new(lab.pod("envoy", 11)?), Arc::new(lab.pod("ours", 12)?));
        origin::serve(control.clone(), 9001, "v1");
        origin::serve(control.clone(), 9002, "v2");
        origin::serve(control.clone(), 9003, "h2");
        let config = lab.directory().join("config");
        std::fs::create_dir(&config)?;
        std::fs::write(config.join("mesh.yaml"), YAML.replace("ORIGIN", &control.ip().to_string()))?;
        let keys = lab.directory().join("keys");
        let istiod = control.spawn(
            "istiod",
            control
                .command(User::Root, binaries.path("istiod"))
                .arg("discovery")
                .arg("--config-dir")
                .arg(&config)
                .arg("--ca-dir")
                .arg(&keys)
                .args(["--grpcAddr", "0.0.0.0:15010", "--secureGRPCAddr", "0.0.0.0:15012"])
                .args(["--monitoringAddr", "0.0.0.0:15014", "--httpAddr", "0.0.0.0:8080"]),
        )?;
        let ready = Call::get(SocketAddr::new(control.ip(), 8080), "istiod", "/ready");
        eventually(PATIENCE, || {
            ensure!(ready.from(&control)?.status.is_success());
            Ok(())
        })
        .context("istiod")?;
        let token = control.run(
            User::Root,
            binaries.path("istiod"),
            &[
                "token",
                "--namespace",
                "default",
                "--service-account",
                "edge",
                "--ca-dir",
                keys.to_str().unwrap_or_default(),
            ],
        )?;
        let token_file = lab.directory().join("token");
        std::fs::write(&token_file, token.trim())?;
        let discovery = SocketAddr::new(control.ip(), 15010);
        let mut proxy = ours.command(User::Root, binaries.path("weft-proxy"));
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
        std::fs::write(&file, bootstrap(&node, discovery, 15000))?;
        let mut command = envoy.command(User::Root, envoy_binary);
        command.arg("-c").arg(&file).args(["--concurrency", "1", "--base-id", "77"]);
        let stock = envoy.spawn("envoy", &mut command)?;
        let this = Self { client: lab.outside(), envoy, ours, _processes: vec![istiod, proxy, stock] };
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

    fn ask(&self, pod: &Pod, request: &Request, http2: bool) -> Result<Answer> {
        let mut call = Call::get(SocketAddr::new(pod.ip(), PORT), request.host, request.path);
        call.method = Method::from_bytes(request.method.as_bytes())?;
        for (name, value) in request.fields {
            call = call.header(name, value);
        }
        let answer = if http2 { call.over_http2_from(&self.client) } else { call.from(&self.client) };
        let answer = answer.with_context(|| format!("{} {request}", pod.name()))?;
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &answer.headers {
            if !IGNORED.contains(&name.as_str()) {
                let takes_time = name == "x-envoy-upstream-service-time";
                let value =
                    if takes_time { "some".into() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() };
                fields.entry(name.to_string()).or_default().push(value.replace(&pod.ip().to_string(), "GATEWAY"));
            }
        }
        let mut body = answer.json();
        let mut text = answer.text();
        if let Some(sent) = body["fields"].as_object_mut() {
            // Whether a request without a body says so is anybody's choice.
            let says_nothing = sent.get("content-length").is_some_and(|length| length[0] == "0");
            sent.retain(|name, _| !IGNORED.contains(&name.as_str()) && (name != "content-length" || !says_nothing));
            text = body.to_string();
            // The length of what the origin tells depends on what is ignored.
            fields.remove("content-length");
        }
        Ok(Answer { status: answer.status.as_u16(), fields, body: text.replace(&pod.ip().to_string(), "GATEWAY") })
    }
}
