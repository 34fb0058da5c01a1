//! Odd pods: whatever comes, the patch applies, what was there is kept, the result is what the API server takes, a second
//! injection changes nothing, and nothing panics.

use std::collections::BTreeSet;

use injector::{Outcome, Reason, Settings, review};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use crate::tools::{container, injected, outcome, settings};

/// Annotations, most of them good.
const ANNOTATIONS: &[(&str, &[&str])] = &[
    ("example.com/other", &["kept"]),
    ("inject.istio.io/templates", &["sidecar", "gateway", "sidecar"]),
    ("prometheus.io/path", &["/m", "$(X)"]),
    ("prometheus.io/port", &["8080", "15020"]),
    ("prometheus.io/scrape", &["true", "false"]),
    ("prometheus.istio.io/merge-metrics", &["false", "true"]),
    ("proxy.istio.io/config", &["holdApplicationUntilProxyStarts: true", "proxyMetadata: { A: b, TRUST_DOMAIN: x }"]),
    ("sidecar.istio.io/capNetBindService", &["true", "false"]),
    ("sidecar.istio.io/nativeSidecar", &["true", "false"]),
    ("sidecar.istio.io/proxyCPU", &["10m", "1"]),
    ("sidecar.istio.io/rewriteAppHTTPProbers", &["true", "false"]),
    ("sidecar.istio.io/status", &["{}", r#"{"containers":["app"],"volumes":["other"]}"#]),
    ("sidecar.istio.io/userVolume", &[r#"{"data":{"emptyDir":{}}}"#, r#"{"more":{"emptyDir":{}}}"#]),
    ("status.sidecar.istio.io/port", &["15021", "16000"]),
    ("traffic.sidecar.istio.io/excludeInboundPorts", &["", "81", "odd"]),
    ("traffic.sidecar.istio.io/includeInboundPorts", &["*", "80,82", ""]),
];

fn object(fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(fields.into_iter().collect::<Map<_, _>>())
}

fn annotations() -> impl Strategy<Value = Value> {
    let some = subsequence(ANNOTATIONS, 0..6).prop_flat_map(|some| {
        some.into_iter()
            .map(|(name, values)| (Just(name.to_owned()), select(values).prop_map(Value::from)))
            .collect::<Vec<_>>()
    });
    prop_oneof![some.prop_map(object), Just(Value::Null)]
}

fn labels() -> impl Strategy<Value = Value> {
    const LABELS: &[(&str, &str)] = &[
        ("app", "web"),
        ("pod-template-hash", "6b7f"),
        ("security.istio.io/tlsMode", "disabled"),
        ("service.istio.io/canonical-name", "mine"),
        ("sidecar.istio.io/inject", "true"),
        ("topology.istio.io/network", "blue"),
        ("version", ""),
    ];
    let some = subsequence(LABELS, 0..=LABELS.len());
    some.prop_map(|some| object(some.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)))))
}

fn handler() -> impl Strategy<Value = Value> {
    select(vec![
        json!({ "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 }),
        json!({ "httpGet": { "port": "http", "scheme": "HTTPS", "httpHeaders": [{ "name": "a", "value": "$(b)" }] } }),
        json!({ "httpGet": { "port": 80, "host": "other" } }),
        json!({ "httpGet": { "port": 15020, "path": "/app-health/app/livez" } }),
        json!({ "tcpSocket": { "port": 8081 }, "timeoutSeconds": 9 }),
        json!({ "grpc": { "port": 9090, "service": null } }),
        json!({ "exec": { "command": ["true"] } }),
        json!({}),
        json!(null),
    ])
}

fn named_container(name: &'static str) -> impl Strategy<Value = Value> {
    const FIELDS: &[&str] = &["livenessProbe", "readinessProbe", "startupProbe", "postStart", "preStop"];
    let probes = subsequence(FIELDS, 0..3).prop_flat_map(|fields| {
        fields.into_iter().map(|field| (Just((*field).to_owned()), handler())).collect::<Vec<_>>()
    });
    let rest = select(vec![
        json!({ "image": "app:1", "ports": [{ "name": "http", "containerPort": 8080 }] }),
        json!({ "image": "auto", "env": [{ "name": "A", "value": "mine" }], "ports": null }),
        json!({ "securityContext": { "runAsUser": 0 }, "futureField": [1, null, { "deep": true }] }),
        json!({ "resources": { "limits": { "cpu": "1m" } }, "volumeMounts": [{ "name": "data", "mountPath": "/etc/istio/pod" }] }),
    ]);
    (probes, rest, any::<bool>()).prop_map(move |(probes, mut container, keeps_running)| {
        container["name"] = name.into();
        if keeps_running && name.starts_with("init") {
            container["restartPolicy"] = "Always".into();
        }
        for (field, handler) in probes {
            match field.as_str() {
                "postStart" | "preStop" => container["lifecycle"][field] = handler,
                _ => container[field] = handler,
            }
        }
        container
    })
}

fn containers(names: &'static [&'static str], least: usize) -> impl Strategy<Value = Value> {
    let some = subsequence(names, least..=names.len()).prop_shuffle();
    some.prop_flat_map(|names| names.into_iter().map(named_container).collect::<Vec<_>>()).prop_map(Value::from)
}

fn odd_pod() -> impl Strategy<Value = Value> {
    let volumes = subsequence(&["data", "istio-token", "more"][..], 0..=3);
    let parts = (
        annotations(),
        labels(),
        containers(&["app", "b", "istio-proxy"], 1),
        containers(&["init-a", "init-b", "istio-init"], 0),
        volumes,
        any::<bool>(),
    );
    parts.prop_map(|(annotations, labels, containers, init_containers, volumes, null)| {
        let volumes: Vec<Value> =
            volumes.iter().map(|name| json!({ "name": name, "csi": { "driver": "d" } })).collect();
        let mut pod = json!({
            "kind": "Pod",
            "metadata": { "generateName": "odd-", "labels": labels, "annotations": annotations, "finalizers": ["x"] },
            "spec": { "containers": containers, "volumes": volumes, "future": { "kept": [null] }, "nodeName": null },
            "status": {},
        });
        pod["spec"]["initContainers"] = if null { Value::Null } else { init_containers };
        pod
    })
}

/// Any JSON, with words that the injector looks for.
fn any_json() -> impl Strategy<Value = Value> {
    let word = select(vec![
        "metadata",
        "spec",
        "containers",
        "initContainers",
        "volumes",
        "name",
        "labels",
        "annotations",
        "env",
        "livenessProbe",
        "lifecycle",
        "httpGet",
        "port",
        "request",
        "object",
        "uid",
        "ports",
        "istio-proxy",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((word.clone().prop_map(str::to_owned), inner), 0..5).prop_map(object),
        ]
    })
}

/// What a second look at the injected pod must find of the first one.
fn kept(before: &Value, now: &Value) {
    let ours = ["istio-proxy", "istio-init"];
    let rest = |value: &Value, without: &[&str]| -> Map<String, Value> {
        let map = value.as_object().cloned().unwrap_or_default();
        map.into_iter().filter(|(key, value)| !without.contains(&key.as_str()) && !value.is_null()).collect()
    };
    assert_eq!(rest(before, &["metadata", "spec"]), rest(now, &["metadata", "spec"]));
    let strings = &["labels", "annotations"];
    assert_eq!(rest(&before["metadata"], strings), rest(&now["metadata"], strings));
    let lists = &["containers", "initContainers", "volumes", "securityContext", "imagePullSecrets"];
    assert_eq!(rest(&before["spec"], lists), rest(&now["spec"], lists));
    for (name, value) in rest(&before["metadata"]["labels"], &[]) {
        assert_eq!(now["metadata"]["labels"][&name], value, "{name}");
    }
    for (name, value) in rest(&before["metadata"]["annotations"], &["sidecar.istio.io/status"]) {
        let moved = name.starts_with("prometheus.io/");
        assert!(moved || now["metadata"]["annotations"][&name] == value, "{name}");
    }
    for list in ["containers", "initContainers"] {
        let users = |pod: &Value| -> Vec<Map<String, Value>> {
            let all = pod["spec"][list].as_array().into_iter().flatten();
            let users = all.filter(|container| !ours.contains(&container["name"].as_str().unwrap()));
            users
                .map(|container| rest(container, &["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"]))
                .collect()
        };
        assert_eq!(users(before), users(now));
    }
    for volume in before["spec"]["volumes"].as_array().unwrap() {
        assert!(now["spec"]["volumes"].as_array().unwrap().contains(volume), "{volume}");
    }
    for variable in container(before, "istio-proxy")["env"].as_array().into_iter().flatten() {
        assert!(container(now, "istio-proxy")["env"].as_array().unwrap().contains(variable), "{variable}");
    }
}

/// The API server's own rules, as far as an injection could break them.
fn acceptable(pod: &Value) {
    let unique = |values: Vec<&Value>, what: &str| {
        let distinct: BTreeSet<String> = values.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), values.len(), "{what}: {values:?}");
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (spec, metadata) = (&pod["spec"], &pod["metadata"]);
    let containers: Vec<Value> = list(&spec["initContainers"]).into_iter().chain(list(&spec["containers"])).collect();
    unique(containers.iter().map(|container| &container["name"]).collect(), "containers");
    unique(list(&spec["volumes"]).iter().map(|volume| &volume["name"]).collect(), "volumes");
    for value in metadata["labels"].as_object().unwrap().values() {
        assert!(value.as_str().unwrap().len() <= 63);
    }
    let proxy = container(pod, "istio-proxy");
    unique(list(&proxy["env"]).iter().map(|variable| &variable["name"]).collect(), "variables");
    unique(list(&proxy["volumeMounts"]).iter().map(|mount| &mount["mountPath"]).collect(), "mounts");
    for mount in list(&proxy["volumeMounts"]) {
        let exists = list(&spec["volumes"]).iter().any(|volume| volume["name"] == mount["name"]);
        assert!(exists || mount["name"] == "data", "{mount}");
    }
    assert!(proxy["image"].as_str().is_some_and(|image| image != "auto" && !image.is_empty()));
    assert!(proxy["readinessProbe"].as_object().is_some_and(|probe| {
        ["exec", "grpc", "httpGet", "tcpSocket"].iter().filter(|handler| probe.contains_key(**handler)).count() == 1
    }));
}

fn defaults() -> Settings {
    settings(json!({ "global": { "imagePullSecrets": ["key"], "network": "green" } }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn odd_pods_are_injected_well_or_refused_with_a_sentence(pod in odd_pod()) {
        let settings = defaults();
        match outcome(&settings, &pod) {
            Outcome::Injected(_) => {
                let now = injected(&settings, &pod).pod;
                kept(&pod, &now);
                acceptable(&now);
                prop_assert_eq!(outcome(&settings, &now), Outcome::LeftAlone(Reason::AlreadyInjected));
            }
            Outcome::Refused(refusal) => prop_assert!(!refusal.problems().is_empty()),
            Outcome::LeftAlone(reason) => prop_assert!(false, "{}", reason),
        }
    }

    #[test]
    fn one_odd_value_somewhere_never_panics(pod in odd_pod(), odd in any_json(), at in any::<prop::sample::Index>()) {
        let settings = defaults();
        let mut pod = pod;
        let mut places = Vec::new();
        pointers(&pod, String::new(), &mut places);
        *pod.pointer_mut(&places[at.index(places.len())]).unwrap() = odd;
        if let Outcome::Injected(injection) = outcome(&settings, &pod) {
            prop_assert_eq!(injected(&settings, &pod), injection);
        }
    }

    #[test]
    fn any_json_never_panics(pod in any_json(), body in "\\PC{0,64}") {
        let settings = defaults();
        let _ = outcome(&settings, &pod);
        let _ = review(&settings, "/inject", body.as_bytes());
        let _ = review(&settings, "/inject", pod.to_string().as_bytes());
        let request = json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": { "uid": "1", "object": pod } });
        let answer = review(&settings, "/inject", request.to_string().as_bytes());
        prop_assert!(answer.is_ok());
    }
}

fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            pointers(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| pointers(value, format!("{at}/{index}"), found));
        }
        _ => {}
    }
    found.push(at);
}
