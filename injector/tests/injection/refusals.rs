//! What is refused, and the sentence that says so.

use injector::{Facts, NativeSidecars, Outcome, Settings};
use serde_json::{Value, json};

use crate::tools::{container, injected, outcome, pod, settings, settings_and_mesh, variable};

fn refused(settings: &Settings, pod: &Value) -> Vec<String> {
    match outcome(settings, pod) {
        Outcome::Refused(refusal) => refusal.problems().to_vec(),
        other => panic!("{other}: {pod}"),
    }
}

#[test]
fn annotations_are_refused_by_name() {
    // annotation, its value, the rest of the sentence
    let rows = [
        (
            "inject.istio.io/templates",
            "mine",
            "the template \"mine\" is not served; the templates are sidecar and gateway",
        ),
        ("inject.istio.io/templates", "", "names no template; the templates are sidecar and gateway"),
        (
            "inject.istio.io/templates",
            "sidecar,gateway",
            "\"sidecar,gateway\": one template at a time is served, sidecar or gateway",
        ),
        ("sidecar.istio.io/interceptionMode", "TPROXY", "TPROXY is not served; use REDIRECT"),
        ("sidecar.istio.io/interceptionMode", "NONE", "NONE is not served; use REDIRECT"),
        ("sidecar.istio.io/interceptionMode", "", "\"\" is no interception mode; use REDIRECT"),
        (
            "sidecar.istio.io/statsHistogramBuckets",
            "x",
            "is not served: the proxy has Istio's metrics, in Istio's shape; remove it",
        ),
        (
            "sidecar.istio.io/bootstrapOverride",
            "x",
            "is not served: the proxy has no bootstrap that could be overridden",
        ),
        ("sidecar.istio.io/nativeSidecar", "yes", "\"yes\" is neither \"true\" nor \"false\""),
        ("sidecar.istio.io/proxyImage", "a b", "\"a b\" is no image"),
        ("sidecar.istio.io/proxyImageType", "tiny", "\"tiny\" is none of default, distroless, debug"),
        ("sidecar.istio.io/proxyCPU", "fast", "\"fast\" is no quantity such as 100m or 128Mi"),
        (
            "sidecar.istio.io/logLevel",
            "loud",
            "\"loud\" is no level of a log; use one of trace, debug, info, warning, warn, error, critical, off",
        ),
        (
            "sidecar.istio.io/componentLogLevel",
            "http:debug",
            "\"http:debug\" is not served: the proxy has none of Envoy's components; set the levels of its own by the \
             annotation sidecar.istio.io/agentLogLevel, such as default:info,weft_proxy::xds:debug",
        ),
        (
            "sidecar.istio.io/userVolume",
            "[]",
            "is no JSON object: invalid type: sequence, expected a map at line 1 column 0",
        ),
        ("sidecar.istio.io/userVolumeMount", r#"{"a":{}}"#, "a has no mountPath"),
        (
            "sidecar.istio.io/discoveryAddress",
            "istiod",
            "discoveryAddress: \"istiod\" is no address such as istiod.istio-system.svc:15012",
        ),
        ("status.sidecar.istio.io/port", "0", "\"0\" is no port"),
        ("readiness.status.sidecar.istio.io/periodSeconds", "0", "0 is too little"),
        ("readiness.status.sidecar.istio.io/failureThreshold", "-1", "\"-1\" is no number"),
        (
            "traffic.sidecar.istio.io/includeOutboundIPRanges",
            "10.0.0.1",
            "\"10.0.0.1\" is no network such as 10.0.0.0/8",
        ),
        ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "*", "\"*\" is no network such as 10.0.0.0/8"),
        ("traffic.sidecar.istio.io/excludeOutboundPorts", "70000", "\"70000\" is no port"),
        ("traffic.sidecar.istio.io/excludeInterfaces", "a b", "\"a b\" is no name of a network interface"),
        (
            "traffic.sidecar.istio.io/excludeOutbundPorts",
            "1",
            "there is no such annotation; did you mean traffic.sidecar.istio.io/excludeOutboundPorts?",
        ),
        ("sidecar.istio.io/frobnicate", "1", "there is no such annotation"),
        ("proxy.istio.io/config", "- a", "is no ProxyConfig in YAML: invalid type: sequence, expected a map"),
        ("proxy.istio.io/config", "concurency: 1", "concurency: unknown field; did you mean concurrency?"),
        (
            "proxy.istio.io/config",
            "gatewayTopology: { numTrustedProxies: -1 }",
            "gatewayTopology: numTrustedProxies: -1 is no number of proxies",
        ),
        (
            "proxy.istio.io/config",
            "gatewayTopology: { proxyProtocol: { version: V2 } }",
            "gatewayTopology: proxyProtocol: {\"version\":\"V2\"} is not {}: it has no settings",
        ),
        (
            "proxy.istio.io/config",
            "gatewayTopology: { forwardClientCertDetails: NONE }",
            "gatewayTopology: forwardClientCertDetails: \"NONE\" is none of UNDEFINED, SANITIZE, FORWARD_ONLY, APPEND_FORWARD, SANITIZE_SET, ALWAYS_FORWARD_ONLY",
        ),
        ("proxy.istio.io/config", "drainDuration: 1d", "drainDuration: \"1d\" is no duration such as 45s or 1m30s"),
        ("proxy.istio.io/config", "interceptionMode: TPROXY", "interceptionMode: TPROXY is not served; use REDIRECT"),
        ("proxy.istio.io/config", "proxyMetadata: { POD_NAME: x }", "proxyMetadata.POD_NAME: is set by the injector"),
        (
            "proxy.istio.io/config",
            "proxyMetadata: { ISTIO_META_DNS_CAPTURE: \"true\" }",
            "proxyMetadata.ISTIO_META_DNS_CAPTURE: \"true\" asks for what is not served",
        ),
        (
            "proxy.istio.io/config",
            "proxyMetadata: { MINIMUM_DRAIN_DURATION: 60s }",
            "proxyMetadata.MINIMUM_DRAIN_DURATION: \"60s\" asks for what is not served",
        ),
        (
            "proxy.istio.io/config",
            "proxyMetadata: { SECRET_TTL: 1h }",
            "proxyMetadata.SECRET_TTL: \"1h\" asks for what is not served",
        ),
        ("proxy.istio.io/config", "proxyMetadata: { A: true }", "proxyMetadata.A: true is not a string; quote it"),
        (
            "proxy.istio.io/config",
            "proxyMetadata: { \"a b\": x }",
            "proxyMetadata.a b: is no name of an environment variable",
        ),
        (
            "prometheus.istio.io/scrape-targets",
            "x",
            "is not served: one target a pod is merged: prometheus.io/port and prometheus.io/path",
        ),
        ("prometheus.io/port", "http", "\"http\" is no port"),
    ];
    for (annotation, value, sentence) in rows {
        let refused = refused(&settings(json!({})), &pod(json!({ annotation: value })));
        assert_eq!(refused, [format!("annotation {annotation}: {sentence}")], "{value}");
    }
}

#[test]
fn pods_that_cannot_be_in_the_mesh_are_refused() {
    let with = |change: fn(&mut Value)| {
        let mut pod = pod(json!({}));
        change(&mut pod);
        pod
    };
    let rows = [
        (
            with(|pod| pod["spec"]["os"]["name"] = "windows".into()),
            "spec.os.name: the proxy does not run on Windows; set the label sidecar.istio.io/inject: \"false\"",
        ),
        (
            with(|pod| pod["spec"]["containers"][0]["livenessProbe"] = json!({ "httpGet": { "port": "web" } })),
            "container app: the probe or hook at /app-health/app/livez: \"web\" is none of the container's ports",
        ),
        (
            with(|pod| pod["spec"]["containers"][0]["readinessProbe"] = json!({ "tcpSocket": {} })),
            "container app: the probe or hook at /app-health/app/readyz: has no port",
        ),
        (
            with(|pod| {
                let root = json!({ "runAsUser": 0, "runAsGroup": 0 });
                let proxy = json!({ "name": "istio-proxy", "securityContext": root });
                pod["spec"]["containers"].as_array_mut().unwrap().push(proxy);
            }),
            "container istio-proxy: runs as root with root's group, so that its traffic cannot be told from an \
             application's",
        ),
        (
            with(|pod| pod["spec"]["initContainers"] = json!([{ "name": "istio-proxy", "restartPolicy": "Always" }])),
            "spec.initContainers: istio-proxy is no native sidecar in this pod; move it to spec.containers, or set the \
             annotation sidecar.istio.io/nativeSidecar: \"true\"",
        ),
        (
            with(|pod| {
                pod["metadata"]["annotations"] = json!({
                    "traffic.sidecar.istio.io/includeInboundPorts": "80,81",
                    "traffic.sidecar.istio.io/excludeInboundPorts": "81",
                });
            }),
            "annotation traffic.sidecar.istio.io/excludeInboundPorts: 81 is among the included inbound ports too; leave \
             it out of one of the lists",
        ),
        (
            with(|pod| {
                pod["metadata"]["annotations"] = json!({
                    "inject.istio.io/templates": "gateway",
                    "traffic.sidecar.istio.io/excludeInboundPorts": "81",
                });
            }),
            "annotation traffic.sidecar.istio.io/excludeInboundPorts: the traffic of a gateway is not redirected",
        ),
        (with(|pod| pod["spec"]["containers"] = json!([])), "spec.containers is empty"),
        (with(|pod| pod["spec"]["containers"] = json!("app")), "spec.containers is not a list"),
        (with(|pod| pod["metadata"]["labels"] = json!({ "a": 1 })), "metadata.labels: the value of a is not a string"),
        (with(|pod| pod["spec"]["volumes"] = json!([{}])), "spec.volumes[0] has no name"),
    ];
    for (pod, sentence) in &rows {
        assert!(refused(&settings(json!({})), pod).contains(&(*sentence).to_owned()), "{sentence}");
    }
}

#[test]
fn a_native_sidecar_needs_a_kubelet_that_knows_it() {
    let facts = Facts { oldest_kubelet: "1.28".parse().ok(), native_sidecars: NativeSidecars::Auto };
    let settings = Settings::read("", "", facts).unwrap();
    let refused = refused(&settings, &pod(json!({ "sidecar.istio.io/nativeSidecar": "true" })));
    assert_eq!(
        refused,
        [
            "annotation sidecar.istio.io/nativeSidecar: a node of this cluster is older than Kubernetes 1.29, which runs \
          no native sidecars"
        ]
    );
}

#[test]
fn settings_say_all_that_is_wrong_at_once() {
    let values = json!({
        "pilot": { "cni": { "enabled": true } },
        "global": {
            "nativeNftables": true, "imagePullPolicy": "Sometimes", "caName": "other",
            "proxy": {
                "autoInject": "perhaps", "includeInboundPorts": "http", "logLevel": "loud", "tracer": "zipkin",
                "clusterDomain": "a b", "statusPort": 0,
            },
        },
        "sidecarInjectorWebhook": {
            "templates": { "mine": "spec: {}" }, "defaultTemplates": ["mine"],
            "neverInjectSelector": [{ "matchExpressions": [{ "key": "k", "operator": "Like" }] }],
            "injectedAnnotations": { "sidecar.istio.io/logLevel": "debug" },
        },
    });
    let mesh = "defaultConfig: { concurrency: many, tracing: {} }";
    let error = Settings::read(&values.to_string(), mesh, Facts::default()).unwrap_err();
    let begins = |start: &str| assert!(error.0.iter().any(|problem| problem.starts_with(start)), "{start}: {error}");
    [
        "values: pilot.cni.enabled: true is not served",
        "values: global.nativeNftables: true is not served",
        "values: global.imagePullPolicy: \"Sometimes\" is none of",
        "values: global.caName: other is not served",
        "values: global.proxy.autoInject: \"perhaps\" is neither",
        "values: global.proxy.includeInboundPorts: \"http\" is no port",
        "values: global.proxy.logLevel: \"loud\" is no level",
        "values: global.proxy.tracer: zipkin is not served",
        "values: global.proxy.clusterDomain: \"a b\" is no DNS name",
        "values: global.proxy.statusPort: \"0\" is no port",
        "values: sidecarInjectorWebhook.templates: {\"mine\":\"spec: {}\"} is not served",
        "values: sidecarInjectorWebhook.defaultTemplates: the template \"mine\" is not served",
        "values: sidecarInjectorWebhook.neverInjectSelector[0]: k: \"Like\" is none of",
        "values: sidecarInjectorWebhook.injectedAnnotations: sidecar.istio.io/logLevel would be added after",
        "mesh: defaultConfig.concurrency: \"many\" is no number of threads",
        "mesh: defaultConfig.tracing: is not served",
    ]
    .into_iter()
    .for_each(begins);
    assert_eq!(error.0.len(), 16, "{error}");
}

#[test]
fn settings_of_a_wrong_type_are_named_by_their_path() {
    let error = Settings::read("global: { proxy: { privileged: maybe } }", "", Facts::default()).unwrap_err();
    assert!(error.0[0].starts_with("values: global.proxy.privileged: invalid type: string \"maybe\""), "{error}");
    assert!(Settings::read("{", "", Facts::default()).is_err());
    assert!(Settings::read("", "defaultConfig: 1", Facts::default()).is_err());
}

#[test]
fn what_the_mesh_says_is_in_front_of_gateways_is_left_to_pilot() {
    let settings = settings_and_mesh(
        json!({}),
        json!({ "defaultConfig": { "gatewayTopology": { "numTrustedProxies": 1 }, "concurrency": 3 } }),
    );
    let plain = injected(&settings, &pod(json!({}))).pod;
    let config = variable(container(&plain, "istio-proxy"), "PROXY_CONFIG").unwrap();
    assert!(config.contains("\"concurrency\":3") && !config.contains("gatewayTopology"), "{config}");
    // What a pod says of itself the proxy tells pilot.
    let own = "gatewayTopology: { proxyProtocol: {}, forwardClientCertDetails: SANITIZE }";
    let gateway = injected(&settings, &pod(json!({ "proxy.istio.io/config": own }))).pod;
    let config = variable(container(&gateway, "istio-proxy"), "PROXY_CONFIG").unwrap();
    assert!(config.contains("\"proxyProtocol\":{}"), "{config}");
}
