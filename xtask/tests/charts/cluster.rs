//! A real API server and the users' own clients for it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mesh_testkit::kube::{APISERVER_VARIABLE, ApiServer, ETCD_VARIABLE};
use tempfile::TempDir;

use crate::tools::{Said, program, told};

/// Longer than it takes on a machine that compiles at the same time.
const PATIENCE: Duration = Duration::from_secs(60);

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
        self.kubectl("wait --for=condition=Established customresourcedefinitions --all --timeout=60s").success();
        let start = Instant::now();
        for group in
            ["networking.istio.io/v1", "security.istio.io/v1", "telemetry.istio.io/v1", "extensions.istio.io/v1alpha1"]
        {
            while !self.kubectl(&format!("get --raw /openapi/v3/apis/{group}")).ok {
                assert!(start.elapsed() < PATIENCE, "{group} is never explained");
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
