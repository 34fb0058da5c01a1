//! A real API server and the users' own clients for it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mesh_testkit::kube::{APISERVER_VARIABLE, ApiServer, ETCD_VARIABLE};
use tempfile::TempDir;

use crate::tools::{Said, program, told};

/// Longer than it takes on a machine that compiles at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the API server tells of once it serves all definitions.
const EXPLAINED: &[(&str, &[&str])] = &[
    (
        "networking.istio.io/v1",
        &["VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "WorkloadEntry", "WorkloadGroup", "Sidecar"],
    ),
    ("networking.istio.io/v1beta1", &["ProxyConfig", "VirtualService"]),
    ("networking.istio.io/v1alpha3", &["EnvoyFilter", "Gateway"]),
    ("security.istio.io/v1", &["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"]),
    ("telemetry.istio.io/v1", &["Telemetry"]),
    ("extensions.istio.io/v1alpha1", &["WasmPlugin", "TrafficExtension"]),
    ("networking.stio.io/v1alpha3", &["Gateway"]),
];

/// A cluster without nodes and controllers: what is made stays as it was asked for.
pub(crate) struct Cluster {
    server: ApiServer,
    /// helm's caches, and files of the tests.
    home: TempDir,
}

impl Cluster {
    /// Starts one; nothing where the programs are missing.
    pub(crate) fn start() -> Option<Self> {
        told(&["WEFT_HELM", "WEFT_KUBECTL", APISERVER_VARIABLE, ETCD_VARIABLE])
            .then(|| Self { server: ApiServer::start().unwrap(), home: tempfile::tempdir().unwrap() })
    }

    /// Starts one with the definitions in it.
    pub(crate) fn with_base() -> Option<Self> {
        let cluster = Self::start()?;
        cluster.kubectl("create namespace istio-system").success();
        cluster.helm("install istio-base charts/base -n istio-system --set defaultRevision=default").success();
        cluster.await_definitions();
        Some(cluster)
    }

    /// Waits until the API server serves the definitions, and explains them.
    fn await_definitions(&self) {
        let start = Instant::now();
        for (group, kinds) in EXPLAINED {
            let explains = |text: &str| kinds.iter().all(|kind| text.contains(&format!("\"kind\":\"{kind}\"")));
            loop {
                let said = self.kubectl(&format!("get --raw /openapi/v3/apis/{group}"));
                if said.ok && explains(&said.text) {
                    break;
                }
                assert!(start.elapsed() < PATIENCE, "{group} is not explained: {}", said.text);
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// helm with arguments as one types them, without quotes.
    pub(crate) fn helm(&self, arguments: &str) -> Said {
        self.run("WEFT_HELM", arguments)
    }

    /// kubectl with arguments as one types them, without quotes.
    pub(crate) fn kubectl(&self, arguments: &str) -> Said {
        self.run("WEFT_KUBECTL", arguments)
    }

    /// Writes a file and applies it.
    pub(crate) fn apply(&self, yaml: &str) -> Said {
        let path = self.file("object.yaml");
        fs::write(&path, yaml).unwrap();
        self.kubectl(&format!("apply -f {}", path.display()))
    }

    /// A path for a file of the test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, variable: &str, arguments: &str) -> Said {
        let mut command = program(variable);
        command.args(arguments.split_whitespace());
        command.env("KUBECONFIG", self.server.kubeconfig()).env("HOME", self.home.path());
        command.output().unwrap().into()
    }
}
