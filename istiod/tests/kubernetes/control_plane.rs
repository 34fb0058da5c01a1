//! istiod as a process, and what is asked of it.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use serde_json::Value;

use crate::cluster_support::Cluster;

/// Longer than anything takes on a machine that compiles at the same time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Whose configurations of webhooks a replica is told to look after, as the chart tells it.
const INJECTOR: (&str, &str) = ("INJECTION_WEBHOOK_CONFIG_NAME", "istio-sidecar-injector-istio-system");
const VALIDATOR: (&str, &str) = ("VALIDATION_WEBHOOK_CONFIG_NAME", "istio-validator-istio-system");

/// A running istiod; killed when it is dropped.
pub(crate) struct Istiod {
    process: Child,
    pub(crate) plain: SocketAddr,
    pub(crate) secure: SocketAddr,
    pub(crate) webhooks: SocketAddr,
    http: SocketAddr,
}

impl Istiod {
    /// Starts a replica of the cluster's control plane, and waits until it is ready.
    pub(crate) async fn start(cluster: &Cluster, pod: &str) -> Self {
        Self::start_with(cluster, pod, &[]).await
    }

    /// The same with further arguments.
    pub(crate) async fn start_with(cluster: &Cluster, pod: &str, arguments: &[String]) -> Self {
        let [secure] = free_ports();
        Self::start_at(cluster, pod, secure, arguments).await
    }

    /// The same, with xDS over TLS at this address.
    pub(crate) async fn start_at(cluster: &Cluster, pod: &str, secure: SocketAddr, arguments: &[String]) -> Self {
        Self::run(cluster, pod, secure, arguments, &[INJECTOR, VALIDATOR]).await
    }

    /// A replica that is not asked to make validation binding (`global.configValidation=false` of the chart).
    pub(crate) async fn start_without_validation(cluster: &Cluster, pod: &str) -> Self {
        let [secure] = free_ports();
        Self::run(cluster, pod, secure, &[], &[INJECTOR]).await
    }

    async fn run(
        cluster: &Cluster,
        pod: &str,
        secure: SocketAddr,
        arguments: &[String],
        looks_after: &[(&str, &str)],
    ) -> Self {
        let [plain, webhooks, monitoring, http] = free_ports();
        let process = Command::new(env!("CARGO_BIN_EXE_istiod"))
            .args(["discovery", "--domain", "cluster.local", "--keepaliveMaxServerConnectionAge", "30m"])
            .arg("--kubeconfig")
            .arg(cluster.server.kubeconfig())
            .args([format!("--grpcAddr={plain}"), format!("--secureGRPCAddr={secure}")])
            .args([format!("--httpsAddr={webhooks}"), format!("--monitoringAddr={monitoring}")])
            .args([format!("--httpAddr={http}"), "--ctrlz_port=0".to_owned()])
            .args(arguments)
            .env("POD_NAMESPACE", "istio-system")
            .env("POD_NAME", pod)
            .envs(looks_after.iter().copied())
            .spawn()
            .unwrap();
        let this = Self { process, plain, secure, webhooks, http };
        let url = format!("http://{}/ready", this.http);
        until("istiod is ready", || async {
            let status = Command::new("curl").args(["--silent", "--fail", "--output", "/dev/null", &url]).status();
            status.unwrap().success().then_some(())
        })
        .await;
        this
    }

    /// Kills it as a lost node does: it gives nothing back.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Posts to a webhook over TLS, believing only the mesh's root; status and body.
    pub(crate) fn post(&self, root: &str, path: &str, body: &[u8]) -> (u16, String) {
        let directory = tempfile::tempdir().unwrap();
        let [ca, data] = ["ca.pem", "body.json"].map(|name| directory.path().join(name));
        std::fs::write(&ca, root).unwrap();
        std::fs::write(&data, body).unwrap();
        let port = self.webhooks.port();
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--write-out", "\n%{http_code}"])
            // A large body is not sent before the server asked for it, so that it can be refused unseen.
            .args(["--expect100-timeout", "60", "--cacert"])
            .arg(ca)
            .args(["--resolve", &format!("istiod.istio-system.svc:{port}:127.0.0.1")])
            .args(["--header", "Content-Type: application/json", "--data-binary"])
            .arg(format!("@{}", data.display()))
            .arg(format!("https://istiod.istio-system.svc:{port}{path}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }
}

impl Drop for Istiod {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ports that nobody has at the moment.
pub(crate) fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The root that a namespace is told.
pub(crate) async fn root_in(cluster: &Cluster, namespace: &str) -> String {
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), namespace);
    until("the root is in the namespace", || async {
        let map = maps.get_opt("istio-ca-root-cert").await.ok()??;
        map.data?.remove("root-cert.pem")
    })
    .await
}

/// The root of the Secret that the replicas share.
pub(crate) async fn shared_root(cluster: &Cluster) -> String {
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), "istio-system");
    let secret = secrets.get("istio-ca-secret").await.unwrap();
    String::from_utf8(secret.data.unwrap().remove("root-cert.pem").unwrap().0).unwrap()
}

/// The condition of a type.
pub(crate) fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|one| one["type"] == name)
}
