//! Whole pods before and after. `golden/<case>.in.yaml` holds settings and pod, `golden/<case>.out.yaml` what becomes of
//! it. `UPDATE_GOLDENS=1 cargo test -p injector` writes the latter anew.

use std::collections::BTreeSet;
use std::path::PathBuf;

use injector::{Context, Facts, Outcome, Settings, inject};
use serde::Deserialize;
use serde_json::{Value, json};

/// The cases, and what each shows.
const CASES: &[(&str, &str)] = &[
    ("plain", "a Deployment's pod gets two containers, eight volumes, labels and annotations"),
    ("probes", "probes and hooks of every kind go through the proxy; commands and other hosts do not"),
    ("prometheus", "Prometheus is sent to the proxy, which knows the application's metrics"),
    ("own-containers", "the user's own istio-proxy and istio-init win field by field, and are remembered"),
    ("hold-application", "the proxy comes first, and the next container waits for it"),
    ("native-sidecar", "redirection, proxy, then the user's init containers; drained before it is stopped"),
    ("gateway", "a pod of the gateway chart is filled in: a router, without redirection"),
    ("capture", "annotations become flags of istio-init"),
    ("proxy-config", "mesh, annotation and single annotations are layers; metadata becomes environment"),
    ("values", "every value of the chart that a pod depends on"),
    ("low-ports", "a proxy that binds low ports has the one capability for it"),
    ("job", "a Job of a CronJob, known by the CronJob's name"),
    ("volumes", "volumes of the user's, by annotation and by name"),
    ("istios", "what Istio's own injector added is replaced"),
    ("host-network", "a pod with the node's network is left alone"),
    ("refused", "everything that is wrong is said at once"),
    ("other-cluster", "the webhook's path says cluster and network"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    #[serde(default)]
    values: Value,
    #[serde(default)]
    mesh: Value,
    #[serde(default)]
    kubernetes: Option<String>,
    #[serde(default)]
    path: Option<String>,
    pub(crate) pod: Value,
}

/// Every case by its name.
pub(crate) fn cases() -> impl Iterator<Item = (&'static str, Case)> {
    CASES.iter().map(|(name, _)| {
        let text = std::fs::read_to_string(directory().join(format!("{name}.in.yaml"))).unwrap();
        (*name, serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
    })
}

impl Case {
    /// What becomes of a pod with the settings of this case.
    pub(crate) fn outcome(&self, pod: &Value) -> Outcome {
        let mut values = if self.values.is_null() { json!({}) } else { self.values.clone() };
        if values["global"]["tag"].is_null() {
            values["global"]["tag"] = "test".into();
        }
        let oldest_kubelet = self.kubernetes.as_ref().map(|version| version.parse().unwrap());
        let facts = Facts { oldest_kubelet, ..Facts::default() };
        let settings = Settings::read(&values.to_string(), &self.mesh.to_string(), facts).unwrap();
        let path = self.path.as_deref().unwrap_or("/inject");
        inject(&settings, &Context::of_namespace("shop").with_path(path).unwrap(), pod)
    }
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/injection/golden")
}

fn as_golden(case: &Case) -> Value {
    match case.outcome(&case.pod) {
        Outcome::Injected(injection) => {
            let mut patched = case.pod.clone();
            json_patch::patch(&mut patched, &injection.patch).unwrap();
            json!({ "outcome": "injected", "warnings": injection.warnings, "pod": patched })
        }
        Outcome::LeftAlone(reason) => json!({ "outcome": "left alone", "because": reason.to_string() }),
        Outcome::Refused(refusal) => json!({ "outcome": "refused", "because": refusal.problems() }),
    }
}

#[test]
fn every_case_is_as_its_golden() {
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let mut stale = Vec::new();
    for (name, case) in cases() {
        let file = directory().join(format!("{name}.out.yaml"));
        let now = serde_yaml_ng::to_string(&as_golden(&case)).unwrap();
        if update {
            std::fs::write(&file, &now).unwrap();
        } else if std::fs::read_to_string(&file).unwrap_or_default() != now {
            stale.push(format!("{name}: is now\n{now}"));
        }
    }
    assert!(stale.is_empty(), "UPDATE_GOLDENS=1 writes these anew:\n{}", stale.join("\n"));
}

#[test]
fn every_file_belongs_to_a_case() {
    let files = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let cases = CASES.iter().flat_map(|(name, _)| [format!("{name}.in.yaml"), format!("{name}.out.yaml")]);
    assert_eq!(files.collect::<BTreeSet<_>>(), cases.collect::<BTreeSet<_>>());
}
