//! An API server with what a chart installs of the injector, and istiod on one core.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use mesh_testkit::kube::ApiServer;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::cpu;
use crate::load::{self, Measured};

/// Whatever takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// As the API server asks for it.
const NAME: &str = "istiod.istio-system.svc";
const NAMESPACE: &str = "istio-system";

/// A running control plane.
pub(crate) struct Site {
    // In this order: istiod ends before the API server.
    istiod: Istiod,
    _server: ApiServer,
    webhooks: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// Killed when it is dropped.
struct Istiod(Child);

impl Site {
    /// Starts everything and waits until pods are injected.
    pub(crate) fn open(istiod: &Path) -> Result<Self> {
        let server = ApiServer::start()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(install(&server))?;
        let webhooks = free()?;
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0"]).arg(istiod).arg("discovery");
        command.arg("--kubeconfig").arg(server.kubeconfig()).arg(format!("--httpsAddr={webhooks}"));
        for flag in ["--grpcAddr", "--secureGRPCAddr", "--monitoringAddr", "--httpAddr"] {
            command.arg(format!("{flag}={}", free()?));
        }
        command
            .args(["--log_output_level", "default:error", "--ctrlz_port=0"])
            .env("POD_NAMESPACE", NAMESPACE)
            .env("POD_NAME", "istiod-0");
        let child = command.stdin(Stdio::null()).spawn().context("taskset")?;
        let mut istiod = Istiod(child);
        let tls = Arc::new(believing(&runtime, &client, &mut istiod)?);
        stay_off_its_core()?;
        let site = Self { istiod, _server: server, webhooks, tls };
        site.wait()?;
        Ok(site)
    }

    /// istiod's process.
    pub(crate) fn pid(&self) -> u32 {
        self.istiod.0.id()
    }

    /// Calls with each review once, and what that costs.
    pub(crate) fn load(&self, reviews: &[Vec<u8>], rate: Option<u32>) -> Result<Measured> {
        let before = cpu::spent(self.pid())?;
        let mut measured = load::run(self.webhooks, &self.tls, NAME, reviews, rate)?;
        measured.cpu = cpu::spent(self.pid())? - before;
        Ok(measured)
    }

    fn wait(&self) -> Result<()> {
        let review = crate::answer::review(&json!({ "spec": { "containers": [] } }), 0);
        let start = Instant::now();
        while let Err(error) = self.load(std::slice::from_ref(&review), None) {
            if start.elapsed() > PATIENCE {
                return Err(error.context("the webhook does not answer"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Istiod {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a chart installs that injection needs.
async fn install(server: &ApiServer) -> Result<Client> {
    let file = Kubeconfig::read_from(server.kubeconfig())?;
    let client = Client::try_from(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)?;
    let namespace = json!({ "metadata": { "name": NAMESPACE } });
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let map = |name: &str, data: Value| json!({ "metadata": { "name": name }, "data": data });
    for map in [map("istio-sidecar-injector", json!({ "values": "{}" })), map("istio", json!({ "mesh": "{}" }))] {
        maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
    }
    Ok(client)
}

/// The client's side of TLS: it believes the mesh's root, once istiod has said which that is.
fn believing(runtime: &Runtime, client: &Client, istiod: &mut Istiod) -> Result<ClientConfig> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let start = Instant::now();
    let root = loop {
        let map = runtime.block_on(maps.get_opt("istio-ca-root-cert"))?;
        if let Some(root) = map.and_then(|map| map.data?.remove("root-cert.pem")) {
            break root;
        }
        if let Some(status) = istiod.0.try_wait()? {
            bail!("istiod ended: {status}");
        }
        if start.elapsed() > PATIENCE {
            bail!("istiod does not tell its root");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes())?)?;
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// The load, and all its threads after this, run on the other cores.
fn stay_off_its_core() -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        bail!("istiod is to have a core of its own, and there is only one");
    }
    let mut set = CpuSet::new();
    (1..cores).try_for_each(|core| set.set(core))?;
    sched_setaffinity(Pid::from_raw(0), &set).context("cannot stay off istiod's core")
}

/// An address that nobody listens on.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
