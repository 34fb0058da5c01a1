//! What the charts render. `cargo xtask crds` writes the goldens anew, for a reviewer to look at the difference.

use std::fs;
use std::path::Path;

use crate::tools::{helm, told};

/// What is rendered: golden, chart, release, namespace, values.
const CASES: &[(&str, &str, &str, &str, &[&str])] = &[
    (
        "base",
        "charts/base",
        "istio-base",
        "istio-system",
        // These are compared with galley's types, by galley.
        &["base.enableIstioConfigCRDs=false"],
    ),
    (
        "base-revision",
        "charts/base",
        "istio-base",
        "istio-system",
        &["base.enableIstioConfigCRDs=false", "base.explainMisspeltGroups=false", "defaultRevision=canary"],
    ),
    ("istiod", "charts/istiod", "istiod", "istio-system", &[]),
    (
        "istiod-revision",
        "charts/istiod",
        "istiod-canary",
        "istio-system",
        &["revision=canary", "revisionTags={prod,default}", "sidecarInjectorWebhook.enableNamespacesByDefault=true"],
    ),
    (
        "istiod-elsewhere",
        "charts/istiod",
        "istiod",
        "mesh",
        &[
            "global.istioNamespace=mesh",
            "global.hub=registry.example.com/weft",
            "global.tag=next",
            "tag=fixed",
            "global.imagePullSecrets={registry}",
            "global.imagePullPolicy=Always",
            "global.logAsJson=true",
            "global.logging.level=pilot:debug",
            "global.priorityClassName=system-cluster-critical",
            "global.networkPolicy.enabled=true",
            "autoscaleEnabled=false",
            "replicaCount=3",
            "nodeSelector.disk=ssd",
            "tolerations[0].operator=Exists",
            "topologySpreadConstraints[0].maxSkew=1",
            "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey=zone",
            "env.RUST_BACKTRACE=1",
            "podAnnotations.a=b",
            "podLabels.c=d",
            "serviceAnnotations.e=f",
            "ipFamilyPolicy=PreferDualStack",
            "meshConfig.accessLogFile=/dev/stdout",
            "meshConfig.trustDomain=example.com",
            "meshConfig.defaultConfig.concurrency=1",
        ],
    ),
    (
        "istiod-alone",
        "charts/istiod",
        "istiod",
        "istio-system",
        &[
            "configMap=false",
            "global.operatorManageWebhooks=true",
            "global.omitSidecarInjectorConfigMap=true",
            "memory.targetAverageUtilization=70",
            "autoscaleMin=2",
            "pdb.unhealthyPodEvictionPolicy=AlwaysAllow",
        ],
    ),
    ("gateway", "charts/gateway", "istio-ingress", "istio-ingress", &[]),
    (
        "gateway-node-port",
        "charts/gateway",
        "edge",
        "edge",
        &[
            "kind=DaemonSet",
            "name=istio-edge",
            "revision=canary",
            "service.type=NodePort",
            "service.externalTrafficPolicy=Local",
            "service.annotations.a=b",
            "service.selectorLabels.zone=outer",
            "labels.istio=outer",
            "labels.team=platform",
            "annotations.owner=platform",
            "podAnnotations.c=d",
            "podDisruptionBudget.minAvailable=1",
            "serviceAccount.name=edge",
            "imagePullSecrets[0].name=registry",
            "env.ISTIO_META_A=b",
            "strategy.type=OnDelete",
            "minReadySeconds=5",
            "rbac.enabled=false",
        ],
    ),
    (
        "gateway-without-service",
        "charts/gateway",
        "egress",
        "istio-egress",
        &[
            "service.type=None",
            "autoscaling.enabled=false",
            "replicaCount=2",
            "serviceAccount.create=false",
            "securityContext.runAsNonRoot=true",
            "containerSecurityContext.runAsUser=2000",
        ],
    ),
    ("membership-service", "e2e/charts/membership-service", "membership-service", "default", &[]),
];

#[test]
fn charts_render_what_they_did() {
    if !told(&["WEFT_HELM"]) {
        return;
    }
    let stale: Vec<&str> = CASES.iter().filter(|(golden, ..)| !is_golden(golden)).map(|(golden, ..)| *golden).collect();
    assert!(stale.is_empty(), "{stale:?} differ: look at what `cargo xtask crds` changes");
}

fn is_golden(name: &str) -> bool {
    let (_, chart, release, namespace, values) = CASES.iter().find(|(golden, ..)| *golden == name).unwrap();
    let mut arguments = vec!["template", release, chart, "--namespace", namespace];
    values.iter().for_each(|value| arguments.extend(["--set", value]));
    let rendered = helm(&arguments).success();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/charts/goldens/{name}.yaml"));
    if std::env::var_os("WEFT_BLESS").is_some() {
        fs::write(&path, &rendered).unwrap();
    }
    fs::read_to_string(&path).unwrap_or_default() == rendered
}

#[test]
fn charts_please_the_linter() {
    if !told(&["WEFT_HELM"]) {
        return;
    }
    for chart in ["charts/base", "charts/istiod", "charts/gateway", "e2e/charts/membership-service"] {
        let said = helm(&["lint", "--strict", chart]).success();
        assert!(said.contains("0 chart(s) failed"), "{said}");
    }
}

#[test]
fn charts_and_their_images_have_the_version_of_the_workspace() {
    let read = |path: &str| fs::read_to_string(crate::tools::root().join(path)).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    for chart in ["base", "istiod", "gateway"] {
        let text = read(&format!("charts/{chart}/Chart.yaml"));
        assert!(text.contains(&format!("\nversion: {version}\nappVersion: {version}\n")), "{chart}: {text}");
    }
    assert!(read("charts/istiod/values.yaml").contains(&format!("\n  tag: {version}\n")));
}
