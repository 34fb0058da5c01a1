//! Odd pods: small and large, plain and strange, good and not. The same number is always the same pod.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Annotations with values of which the last of each is refused or strange.
const ANNOTATIONS: &[(&str, &[&str])] = &[
    ("example.com/long", &["x", "täglich ☂"]),
    ("inject.istio.io/templates", &["sidecar", "gateway", "mine"]),
    ("kubectl.kubernetes.io/last-applied-configuration", &["{}", "{\"spec\":{}}"]),
    ("prometheus.io/path", &["/actuator/prometheus", "$(X)"]),
    ("prometheus.io/port", &["8080", "many"]),
    ("prometheus.io/scrape", &["true", "perhaps"]),
    (
        "proxy.istio.io/config",
        &["concurrency: 2", "proxyMetadata: { A: b }", "holdApplicationUntilProxyStarts: true", "tracing: {}"],
    ),
    ("sidecar.istio.io/inject", &["true", "false", "maybe"]),
    ("sidecar.istio.io/interceptionMode", &["REDIRECT", "TPROXY"]),
    ("sidecar.istio.io/logLevel", &["debug", "loud"]),
    ("sidecar.istio.io/nativeSidecar", &["true", "false", "1"]),
    ("sidecar.istio.io/proxyCPU", &["10m", "lots"]),
    ("sidecar.istio.io/proxyCpu", &["10m"]),
    ("sidecar.istio.io/rewriteAppHTTPProbers", &["true", "false", ""]),
    ("sidecar.istio.io/status", &["{}", "{\"containers\":[\"istio-proxy\"]}", "["]),
    ("sidecar.istio.io/userVolume", &["{\"data\":{\"emptyDir\":{}}}", "[]"]),
    ("sidecar.istio.io/userVolumeMount", &["{\"data\":{\"mountPath\":\"/data\"}}", "{"]),
    ("traffic.sidecar.istio.io/excludeInboundPorts", &["", "81,82", "odd"]),
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", &["10.0.0.0/8", "10.0.0.0/99"]),
    ("traffic.sidecar.istio.io/includeInboundPorts", &["*", "80,82", "0"]),
];

/// One of these, each as often as the other.
fn pick<T: Clone>(random: &mut Rng, some: &[T]) -> T {
    some[random.usize(..some.len())].clone()
}

/// The pod of a number.
pub(crate) fn odd(number: u32) -> Value {
    let random = &mut Rng::with_seed(number.into());
    let containers = if random.u8(..20) == 0 { random.usize(10..60) } else { random.usize(1..4) };
    let containers: Vec<Value> = (0..containers).map(|index| container(random, &format!("app-{index}"))).collect();
    let init: Vec<Value> = (0..random.usize(..3)).map(|index| container(random, &format!("init-{index}"))).collect();
    let mut pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "generateName": "odd-6b7f-", "labels": labels(random), "annotations": annotations(random),
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "odd-6b7f", "controller": true, "uid": "1" }],
        },
        "spec": {
            "containers": containers, "initContainers": init, "serviceAccountName": "odd",
            "volumes": [{ "name": "data", "emptyDir": {} }], "terminationGracePeriodSeconds": 30,
        },
        "status": {},
    });
    strange(random, &mut pod);
    pod
}

/// What few pods have.
fn strange(random: &mut Rng, pod: &mut Value) {
    let proxy = json!({ "name": "istio-proxy", "image": "auto", "env": [{ "name": "MINE", "value": "1" }] });
    match random.u8(..40) {
        0 => pod["spec"]["hostNetwork"] = true.into(),
        1 => pod["spec"]["initContainers"] = Value::Null,
        2 => pod["metadata"]["annotations"] = Value::Null,
        3 => pod["metadata"] = json!({}),
        4 => pod["spec"]["containers"] = json!([]),
        5 => pod["spec"]["containers"] = json!([container(random, "twice"), container(random, "twice")]),
        6 | 7 => append(&mut pod["spec"]["containers"], proxy),
        8 => append(&mut pod["spec"]["initContainers"], proxy),
        9 => append(&mut pod["spec"]["volumes"], json!({ "name": "istio-token", "emptyDir": {} })),
        10 => pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/os": "windows" }),
        11 => pod["spec"]["securityContext"] = json!({ "runAsUser": 1337, "fsGroup": 7 }),
        12 => pod["spec"]["futureField"] = json!({ "kept": [null, { "deep": true }] }),
        13 => pod["metadata"]["annotations"]["example.com/long"] = "å".repeat(random.usize(1..100_000)).into(),
        14 => pod["spec"] = Value::Null,
        15 => pod["spec"]["containers"] = json!({ "name": "no list" }),
        16 => pod["metadata"]["labels"] = json!(["no mapping"]),
        _ => {}
    }
}

fn append(list: &mut Value, one: Value) {
    list.as_array_mut().into_iter().for_each(|list| list.push(one.clone()));
}

fn annotations(random: &mut Rng) -> Value {
    let some = random.usize(..5);
    let chosen: Map<String, Value> = (0..some)
        .map(|_| {
            let (name, values) = pick(random, ANNOTATIONS);
            // Most are good, since a refused pod is cheap.
            let last = if random.u8(..10) == 0 { values.len() } else { values.len().saturating_sub(1).max(1) };
            (name.to_owned(), pick(random, &values[..last]).into())
        })
        .collect();
    chosen.into()
}

fn labels(random: &mut Rng) -> Value {
    let mut labels = json!({ "app": "odd", "pod-template-hash": "6b7f", "version": "v1" });
    match random.u8(..10) {
        0 => labels["sidecar.istio.io/inject"] = pick(random, &["true", "false", "maybe"]).into(),
        1 => labels["service.istio.io/canonical-name"] = "mine".into(),
        2 => labels["topology.istio.io/network"] = "blue".into(),
        _ => {}
    }
    labels
}

fn container(random: &mut Rng, name: &str) -> Value {
    let variables: Vec<Value> =
        (0..random.usize(..20)).map(|index| json!({ "name": format!("V{index}"), "value": "$(POD_IP)/x" })).collect();
    let mut container = json!({
        "name": name, "image": "registry.example.com/odd:1", "env": variables,
        "ports": [{ "name": "http", "containerPort": 8080 }, { "containerPort": random.u16(1..) }],
        "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
    });
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if random.bool() {
            container[field] = probe(random);
        }
    }
    match random.u8(..12) {
        0 => container["lifecycle"] = json!({ "preStop": probe(random), "postStart": probe(random) }),
        1 => container["restartPolicy"] = "Always".into(),
        2 => container["ports"] = Value::Null,
        3 => container["securityContext"] = json!({ "runAsUser": 0, "privileged": true }),
        _ => {}
    }
    container
}

fn probe(random: &mut Rng) -> Value {
    pick(
        random,
        &[
            json!({ "httpGet": { "path": "/actuator/health/liveness", "port": 8080 }, "periodSeconds": 5 }),
            json!({ "httpGet": { "path": "/ready", "port": "http", "scheme": "HTTPS" } }),
            json!({ "httpGet": { "port": "absent" } }),
            json!({ "httpGet": { "port": 80, "host": "other", "httpHeaders": [{ "name": "a", "value": "b" }] } }),
            json!({ "tcpSocket": { "port": 8080 }, "timeoutSeconds": 9 }),
            json!({ "grpc": { "port": 9090 } }),
            json!({ "exec": { "command": ["true"] } }),
            json!({}),
        ],
    )
}
