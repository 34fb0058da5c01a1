//! What single annotations change, as a table; and that `istio-init` understands what it is given.

use clap::Parser;
use injector::Outcome;
use serde_json::{Value, json};
use weft_cni_init::settings::{Flags, Settings as InitSettings};

use crate::golden;
use crate::tools::{container, injected, pod, settings, variable};

#[test]
fn annotations_change_the_proxy() {
    // annotation, its value, where in the container istio-proxy, what stands there
    let rows = [
        ("sidecar.istio.io/proxyImage", "other.example/p:9", "/image", json!("other.example/p:9")),
        ("sidecar.istio.io/proxyImage", "mine", "/image", json!("docker.io/weft/mine:test")),
        ("sidecar.istio.io/proxyImageType", "debug", "/image", json!("docker.io/weft/proxyv2:test-debug")),
        ("sidecar.istio.io/proxyCPU", "50m", "/resources", json!({ "requests": { "cpu": "50m" } })),
        ("sidecar.istio.io/proxyCPULimit", "2", "/resources", json!({ "limits": { "cpu": "2" } })),
        ("sidecar.istio.io/proxyMemory", "64Mi", "/resources", json!({ "requests": { "memory": "64Mi" } })),
        ("sidecar.istio.io/proxyMemoryLimit", "1Gi", "/resources", json!({ "limits": { "memory": "1Gi" } })),
        ("sidecar.istio.io/logLevel", "trace", "/args/4", json!("--proxyLogLevel=trace")),
        ("sidecar.istio.io/componentLogLevel", "misc:error", "/args/5", json!("--proxyComponentLogLevel=misc:error")),
        ("sidecar.istio.io/agentLogLevel", "default:debug", "/args/6", json!("--log_output_level=default:debug")),
        ("readiness.status.sidecar.istio.io/initialDelaySeconds", "3", "/readinessProbe/initialDelaySeconds", json!(3)),
        ("readiness.status.sidecar.istio.io/periodSeconds", "4", "/readinessProbe/periodSeconds", json!(4)),
        ("readiness.status.sidecar.istio.io/failureThreshold", "5", "/readinessProbe/failureThreshold", json!(5)),
        ("sidecar.istio.io/nativeSidecar", "true", "/restartPolicy", json!("Always")),
        ("sidecar.istio.io/nativeSidecar", "false", "/restartPolicy", Value::Null),
        ("sidecar.istio.io/capNetBindService", "true", "/securityContext/runAsUser", json!(0)),
        ("sidecar.istio.io/interceptionMode", "REDIRECT", "/securityContext/runAsUser", json!(1337)),
    ];
    for (annotation, value, pointer, want) in rows {
        let pod = injected(&settings(json!({})), &pod(json!({ annotation: value }))).pod;
        let found = container(&pod, "istio-proxy").pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(found, want, "{annotation}: {value}");
    }
}

#[test]
fn annotations_change_the_settings_that_the_proxy_reads() {
    let rows = [
        ("status.sidecar.istio.io/port", "15999", json!({ "statusPort": 15999 })),
        ("sidecar.istio.io/discoveryAddress", "istiod.b:15012", json!({ "discoveryAddress": "istiod.b:15012" })),
        ("proxy.istio.io/config", "concurrency: 3", json!({ "concurrency": 3 })),
        ("proxy.istio.io/config", "holdApplicationUntilProxyStarts: null", json!({})),
        ("proxy.istio.io/config", "", json!({})),
    ];
    for (annotation, value, changed) in rows {
        let pod = injected(&settings(json!({})), &pod(json!({ annotation: value }))).pod;
        let found = variable(container(&pod, "istio-proxy"), "PROXY_CONFIG").unwrap();
        let mut want = json!({ "discoveryAddress": "istiod.istio-system.svc:15012", "statusPort": 15020 });
        changed.as_object().unwrap().iter().for_each(|(key, value)| want[key] = value.clone());
        assert_eq!(serde_json::from_str::<Value>(found).unwrap(), want, "{annotation}: {value}");
    }
}

#[test]
fn metrics_and_probes_stay_where_the_pod_says_so() {
    let mut pod = pod(json!({
        "prometheus.io/port": "8080",
        "prometheus.istio.io/merge-metrics": "false",
        "sidecar.istio.io/rewriteAppHTTPProbers": "false",
    }));
    pod["spec"]["containers"][0]["livenessProbe"] = json!({ "httpGet": { "path": "/", "port": 8080 } });
    let injected = injected(&settings(json!({})), &pod).pod;
    assert_eq!(injected["metadata"]["annotations"]["prometheus.io/port"], "8080");
    assert_eq!(injected["spec"]["containers"][0], pod["spec"]["containers"][0]);
    let proxy = container(&injected, "istio-proxy");
    for name in ["ISTIO_KUBE_APP_PROBERS", "ISTIO_PROMETHEUS_ANNOTATIONS"] {
        assert_eq!(variable(proxy, name), None, "{name}");
    }
}

#[test]
fn istio_init_understands_what_it_is_given() {
    let mut understood = 0;
    for (name, case) in golden::cases() {
        let Outcome::Injected(injection) = case.outcome(&case.pod) else { continue };
        let Some(arguments) = container(&injection.pod, "istio-init")["args"].as_array() else { continue };
        let arguments = arguments.iter().map(|argument| argument.as_str().unwrap());
        let flags = Flags::try_parse_from(arguments).unwrap_or_else(|error| panic!("{name}: {error}"));
        InitSettings::try_from(flags).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        understood += 1;
    }
    assert!(understood > 10);
}

#[test]
fn the_default_template_is_the_operators_choice() {
    let gateways = settings(json!({ "sidecarInjectorWebhook": { "defaultTemplates": ["gateway"] } }));
    let gateway = injected(&gateways, &pod(json!({}))).pod;
    assert_eq!(container(&gateway, "istio-proxy")["args"][1], "router");
    let sidecar = injected(&gateways, &pod(json!({ "inject.istio.io/templates": "sidecar" }))).pod;
    assert_eq!(container(&sidecar, "istio-proxy")["args"][1], "sidecar");
}
