//! Weft as users run it: sidecars driven by istiod, connections redirected by the rules of istio-init, with routes, strict
//! mutual TLS, permission of one principal, metrics and an access log.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use mesh_testkit::lab::{Pod, Process, User};

use super::{Launch, Side, Target, Work};
use crate::certificates::NAMESPACE;
use crate::http;
use crate::site::{LOAD, Site};
use crate::wait;

const MESH: &str = include_str!("weft/mesh.yaml");
/// Where redirected connections of applications arrive.
const OUTBOUND: u16 = 15001;
/// Where redirected connections of other proxies arrive.
const INBOUND: u16 = 15006;
/// Where a sidecar says whether it is ready.
const STATUS: u16 = 15021;

/// The objects of the mesh under measurement.
pub(crate) fn objects(client: Ipv4Addr, server: Ipv4Addr) -> String {
    MESH.replace("CLIENT", &client.to_string()).replace("SERVER", &server.to_string())
}

pub(super) fn target(work: Work) -> Target {
    let (last, authority) = match work {
        Work::Http1 => (11, "http1"),
        Work::Http2 => (12, "http2"),
        Work::Grpc => (13, "grpc"),
        Work::Tcp => (14, "tcp"),
        Work::Bulk => (15, "bulk"),
        Work::Hop => (16, "hop.example.com"),
    };
    Target { address: ([10, 96, 0, last], 80).into(), authority }
}

pub(super) fn launch(site: &Site, side: Side, directory: &Path) -> Result<Launch> {
    sidecar(site, &site.control_plane, side, directory)
}

/// How a sidecar of a control plane is started.
pub(crate) fn sidecar(site: &Site, control_plane: &ControlPlane, side: Side, directory: &Path) -> Result<Launch> {
    let (name, door) = match side {
        Side::Client => ("client", OUTBOUND),
        Side::Server => ("server", INBOUND),
    };
    let token = directory.join("istio-token");
    fs::write(&token, site.certificates.token(name)?)?;
    let settings = format!(r#"{{"discoveryAddress":"{}","concurrency":1}}"#, control_plane.address);
    let root = site.certificates.root().display().to_string();
    let environment = vec![
        ("POD_NAME", name.to_owned()),
        ("POD_NAMESPACE", NAMESPACE.to_owned()),
        ("SERVICE_ACCOUNT", name.to_owned()),
        ("INSTANCE_IP", site.pod(side).wire().to_string()),
        ("TRUST_DOMAIN", "cluster.local".to_owned()),
        ("ISTIO_META_CLUSTER_ID", "Kubernetes".to_owned()),
        ("ISTIO_META_WORKLOAD_NAME", name.to_owned()),
        ("ISTIO_METAJSON_LABELS", format!(r#"{{"app":"{name}"}}"#)),
        ("CA_ADDR", control_plane.address.to_string()),
        ("XDS_ROOT_CA", root.clone()),
        ("CA_ROOT_CA", root),
        ("JWT_PATH", token.display().to_string()),
        ("WEFT_STATE_DIR", directory.display().to_string()),
        ("PROXY_CONFIG", settings),
    ];
    Ok(Launch {
        program: site.proxy.clone(),
        arguments: ["proxy", "sidecar", "--domain", "default.svc.cluster.local"].map(str::to_owned).to_vec(),
        environment,
        door: ([127, 0, 0, 1], door).into(),
        ready: Some((([127, 0, 0, 1], STATUS).into(), "/healthz/ready")),
    })
}

/// istiod with a directory of objects.
pub(crate) struct ControlPlane {
    _process: Process,
    address: SocketAddr,
}

impl ControlPlane {
    /// Starts istiod in a pod, and waits until it is ready. It takes ports from `port` on, and shares its authority with
    /// every other one of the pod.
    pub(crate) fn start(pod: &Pod, binaries: &Path, name: &str, port: u16, objects: &str) -> Result<Self> {
        let config = pod.directory().join(name);
        fs::create_dir_all(&config)?;
        fs::write(config.join("objects.yaml"), objects)?;
        let mut command = LOAD.command(pod, User::Root, &binaries.join("istiod"));
        command.arg("discovery").arg("--config-dir").arg(&config);
        command.arg("--ca-dir").arg(pod.directory().join("authority"));
        let flags = ["--grpcAddr", "--secureGRPCAddr", "--monitoringAddr", "--httpAddr"];
        for (flag, port) in flags.into_iter().zip(port..) {
            command.args([flag, &format!("[::]:{port}")]);
        }
        let mut process = pod.spawn(name, &mut command)?;
        let page = SocketAddr::from(([127, 0, 0, 1], port + 3));
        let ready = || {
            ensure!(process.is_running(), "it has ended");
            let status = pod.inside(|| http::status(page, "/ready"))?;
            ensure!(status == 200, "/ready answers {status}");
            Ok(())
        };
        let waited = wait::until("istiod", ready);
        waited.with_context(|| format!("istiod says:\n{}", process.output()))?;
        Ok(Self { _process: process, address: SocketAddr::new(pod.ip(), port + 1) })
    }
}
