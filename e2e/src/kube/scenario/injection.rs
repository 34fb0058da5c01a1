//! Which pods get a proxy: asked of the API server without making any pod, as its webhooks answer dry runs too.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::kube::Kube;

const NAMESPACES: &str = "e2e/yaml/kube/injection.yaml";
const INJECT: &str = "sidecar.istio.io/inject";
const REVISION: &str = "istio.io/rev";

/// A pod as its user writes it, and what becomes of it.
struct Case {
    namespace: &'static str,
    labels: Value,
    annotations: Value,
    host_network: bool,
    expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Injected,
    Alone,
    /// Refused, with these words.
    Refused(&'static str),
}

use Expected::{Alone, Injected, Refused};

impl Case {
    fn new(namespace: &'static str, labels: Value, expected: Expected) -> Self {
        Self { namespace, labels, annotations: json!({}), host_network: false, expected }
    }

    fn annotated(mut self, annotations: Value) -> Self {
        self.annotations = annotations;
        self
    }

    fn on_the_hosts_network(mut self) -> Self {
        self.host_network = true;
        self
    }
}

/// The namespaces are labelled as they are called; `inject-silent` has no label.
fn cases() -> Vec<Case> {
    vec![
        Case::new("inject-enabled", json!({}), Injected),
        Case::new("inject-enabled", json!({ INJECT: "false" }), Alone),
        Case::new("inject-enabled", json!({}), Alone).annotated(json!({ INJECT: "false" })),
        Case::new("inject-enabled", json!({ INJECT: "true" }), Injected).annotated(json!({ INJECT: "false" })),
        Case::new("inject-enabled", json!({ REVISION: "other" }), Injected),
        Case::new("inject-enabled", json!({}), Alone).on_the_hosts_network(),
        Case::new("inject-enabled", json!({ INJECT: "maybe" }), Refused("is neither \"true\" nor \"false\"")),
        Case::new("inject-disabled", json!({ INJECT: "true" }), Alone),
        Case::new("inject-silent", json!({}), Alone),
        Case::new("inject-silent", json!({}), Alone).annotated(json!({ INJECT: "true" })),
        Case::new("inject-silent", json!({ INJECT: "true" }), Injected),
        Case::new("inject-silent", json!({ REVISION: "default" }), Injected),
        Case::new("inject-silent", json!({ REVISION: "other" }), Alone),
        Case::new("inject-revision", json!({}), Injected),
        Case::new("inject-revision", json!({ INJECT: "false" }), Alone),
        Case::new("kube-system", json!({ INJECT: "true" }), Alone),
    ]
}

pub(super) fn matrix(kube: &Kube) -> Result<String> {
    kube.apply(NAMESPACES)?;
    let cases = cases();
    for case in &cases {
        // No pod is accepted sooner.
        kube.kubectl(&format!("wait --for create serviceaccount/default --namespace {}", case.namespace))?;
    }
    for case in &cases {
        let pod = pod(case);
        let became = outcome(kube, &pod);
        ensure!(is_expected(&became, case.expected), "{pod} became {became:?}, expected was {:?}", case.expected);
    }
    let count = |wanted: Expected| cases.iter().filter(|case| case.expected == wanted).count();
    Ok(format!(
        "of {} pods {} were injected, {} left alone, the others refused",
        cases.len(),
        count(Injected),
        count(Alone)
    ))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.delete(NAMESPACES).map(|_| ())
}

fn pod(case: &Case) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "asked",
            "namespace": case.namespace,
            "labels": case.labels,
            "annotations": case.annotations,
        },
        "spec": {
            "hostNetwork": case.host_network,
            "containers": [{ "name": "app", "image": "docker.io/weft/shop:0.1.0", "args": ["details"] }],
        },
    })
}

/// The names of all containers, in the order in which they start.
fn outcome(kube: &Kube, pod: &Value) -> Result<Vec<String>> {
    let made = kube.kubectl_reads("create --dry-run=server --output json --filename -", &pod.to_string())?;
    let made: Value = serde_json::from_str(&made)?;
    let kinds = ["initContainers", "containers"].map(|kind| made["spec"][kind].as_array().cloned());
    let containers = kinds.into_iter().flatten().flatten();
    Ok(containers.map(|one| one["name"].as_str().unwrap_or_default().to_owned()).collect())
}

fn is_expected(became: &Result<Vec<String>>, expected: Expected) -> bool {
    match (became, expected) {
        (Ok(containers), Injected) => containers == &["istio-init", "istio-proxy", "app"],
        (Ok(containers), Alone) => containers == &["app"],
        (Err(error), Refused(words)) => format!("{error:#}").contains(words),
        _ => false,
    }
}
