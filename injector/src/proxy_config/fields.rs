//! The fields of Istio's `ProxyConfig`: what is served, of which type, and what is refused by name.

use serde_json::Value;

use crate::annotations::{did_you_mean, read};
use crate::image;

/// Fields that are served, with the test of their values.
type Check = fn(&Value) -> Result<(), String>;
const SERVED: &[(&str, Check)] = &[
    ("concurrency", count),
    ("discoveryAddress", address),
    ("drainDuration", duration),
    ("gatewayTopology", topology),
    ("holdApplicationUntilProxyStarts", truth),
    ("image", image_object),
    ("interceptionMode", interception),
    ("meshId", text),
    ("proxyAdminPort", port),
    ("statusPort", port),
    ("terminationDrainDuration", duration),
];

/// Fields of Istio that set what this mesh does not do.
const UNSERVED: &[&str] = &[
    "availabilityZone",
    "binaryPath",
    "caCertificatesPem",
    "configPath",
    "connectionSettings",
    "controlPlaneAuthPolicy",
    "customConfigFile",
    "envoyAccessLogService",
    "envoyMetricsService",
    "extraStatTags",
    "fileFlushInterval",
    "fileFlushMinSizeKb",
    "privateKeyProvider",
    "proxyBootstrapTemplatePath",
    "proxyHeaders",
    "readinessProbe",
    "runtimeValues",
    "sds",
    "serviceCluster",
    "statNameLength",
    "statsCompression",
    "statsdUdpAddress",
    "tracing",
    "tracingServiceName",
    "zipkinAddress",
];

/// Fields that choose among Envoy's statistics, of which there are none here: a pod is right all the same.
pub(super) const WITHOUT_EFFECT: &[&str] = &["proxyStatsMatcher"];

/// Variables that ask for a feature that is not served, and the settings of them that do not.
const UNSERVED_METADATA: &[(&str, &[&str])] = &[
    ("BOOTSTRAP_XDS_AGENT", &["false"]),
    ("CA_PROVIDER", &["Citadel"]),
    ("CREDENTIAL_FETCHER_TYPE", &["JWT", ""]),
    ("CREDENTIAL_IDENTITY_PROVIDER", &["GoogleComputeEngine"]),
    ("DISABLE_ENVOY", &["false"]),
    ("DNS_FORWARD_PARALLEL", &["false"]),
    ("DNS_PROXY_ADDR", &["localhost:15053"]),
    ("ECC_CURVE", &["P256"]),
    ("ECC_SIGNATURE_ALGORITHM", &["", "ECDSA"]),
    ("ENVOY_PROMETHEUS_PORT", &["15090"]),
    ("ENVOY_SECURE_METRICS_PORT", &[""]),
    ("ENVOY_STATUS_PORT", &["15021"]),
    // A proxy that drains ends as soon as nothing runs any more.
    ("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", &["false", "true"]),
    ("FILE_MOUNTED_CERTS", &["false"]),
    ("GRPC_XDS_BOOTSTRAP", &[""]),
    ("INVALID_DROP", &["false"]),
    ("IPTABLES_TRACE_LOGGING", &["false"]),
    ("ISTIO_BOOTSTRAP", &[""]),
    ("ISTIO_BOOTSTRAP_OVERRIDE", &[""]),
    ("ISTIO_META_CERT_SIGNER", &[""]),
    ("ISTIO_META_DNS_AUTO_ALLOCATE", &["false"]),
    ("ISTIO_META_DNS_CAPTURE", &["false"]),
    ("ISTIO_META_ENABLE_DNS_SERVER", &["false"]),
    ("ISTIO_META_ENABLE_HBONE", &["false"]),
    ("ISTIO_META_IDLE_TIMEOUT", &[""]),
    ("ISTIO_META_REQUESTED_NETWORK_VIEW", &[""]),
    ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", &["127.0.0.1/32"]),
    ("ISTIO_OUTBOUND_OWNER_GROUPS", &["*"]),
    ("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", &[""]),
    ("JWT_POLICY", &["third-party-jwt"]),
    ("MINIMUM_DRAIN_DURATION", &["5s"]),
    ("OUTPUT_CERTS", &[""]),
    ("PEER_METADATA_DISCOVERY", &["false"]),
    ("PKCS8_KEY", &["false"]),
    ("PROV_CERT", &[""]),
    ("PROXY_CONFIG_XDS_AGENT", &["false"]),
    ("SECRET_GRACE_PERIOD_RATIO", &["0.5"]),
    ("SECRET_GRACE_PERIOD_RATIO_JITTER", &[".01", "0.01"]),
    ("SECRET_TTL", &["24h", "24h0m0s"]),
    ("WASM_INSECURE_REGISTRIES", &[""]),
    ("WORKLOAD_IDENTITY_SOCKET_FILE", &["socket"]),
    ("WORKLOAD_RSA_KEY_SIZE", &["2048"]),
    ("XDS_AUTH_PROVIDER", &[""]),
];

/// Variables by which the injector tells the proxy who it is and what it stands beside.
const RESERVED: &[&str] = &[
    "HOST_IP",
    "INSTANCE_IP",
    "ISTIO_CPU_LIMIT",
    "ISTIO_KUBE_APP_PROBERS",
    "ISTIO_META_APP_CONTAINERS",
    "ISTIO_META_INTERCEPTION_MODE",
    "ISTIO_META_NODE_NAME",
    "ISTIO_META_POD_PORTS",
    "ISTIO_PROMETHEUS_ANNOTATIONS",
    "POD_NAME",
    "POD_NAMESPACE",
    "PROXY_CONFIG",
    "SERVICE_ACCOUNT",
];

/// What is wrong with a field.
pub(super) fn check(field: &str, value: &Value) -> Vec<String> {
    if field == "proxyMetadata" {
        return metadata(value);
    }
    let problem = match SERVED.iter().find(|(name, _)| *name == field) {
        Some((_, check)) => check(value).err(),
        None if WITHOUT_EFFECT.contains(&field) => None,
        None if UNSERVED.contains(&field) => Some("is not served".to_owned()),
        None => {
            let known: Vec<&str> = SERVED.iter().map(|(name, _)| *name).chain(["proxyMetadata"]).collect();
            let hint = match did_you_mean(field, &known) {
                Some(word) => format!("did you mean {word}?"),
                None => format!("known here: {}", known.join(", ")),
            };
            Some(format!("unknown field; {hint}"))
        }
    };
    problem.map(|problem| format!("{field}: {problem}")).into_iter().collect()
}

fn metadata(value: &Value) -> Vec<String> {
    let Value::Object(metadata) = value else { return vec!["proxyMetadata: is not a mapping".to_owned()] };
    let problem = |(name, value): (&String, &Value)| {
        let Value::String(value) = value else { return Some(format!("{value} is not a string; quote it")) };
        let unserved = UNSERVED_METADATA.iter().find(|(unserved, _)| unserved == name);
        if unserved.is_some_and(|(_, harmless)| !harmless.contains(&value.as_str())) {
            return Some(format!("{value:?} asks for what is not served"));
        }
        if RESERVED.contains(&name.as_str()) {
            return Some("is set by the injector".to_owned());
        }
        (!is_variable(name)).then(|| "is no name of an environment variable".to_owned())
    };
    let problems = metadata.iter().filter_map(|entry| Some((entry.0, problem(entry)?)));
    problems.map(|(name, problem)| format!("proxyMetadata.{name}: {problem}")).collect()
}

/// As the API server has it.
fn is_variable(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    first && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn text(value: &Value) -> Result<(), String> {
    value.as_str().map(drop).ok_or_else(|| format!("{value} is not a string"))
}

fn truth(value: &Value) -> Result<(), String> {
    value.as_bool().map(drop).ok_or_else(|| format!("{value} is neither true nor false"))
}

fn count(value: &Value) -> Result<(), String> {
    let count = value.as_u64().filter(|count| *count <= 1024);
    count.map(drop).ok_or_else(|| format!("{value} is no number of threads from 0 to 1024"))
}

fn port(value: &Value) -> Result<(), String> {
    read::port(&value.to_string()).map(drop)
}

fn address(value: &Value) -> Result<(), String> {
    let parts = value.as_str().and_then(|address| address.rsplit_once(':'));
    let valid = parts.is_some_and(|(host, port)| !host.is_empty() && read::port(port).is_ok());
    if valid { Ok(()) } else { Err(format!("{value} is no address such as istiod.istio-system.svc:15012")) }
}

fn duration(value: &Value) -> Result<(), String> {
    let read = value.as_str().and_then(mesh_types::duration::parse);
    read.map(drop).ok_or_else(|| format!("{value} is no duration such as 45s or 1m30s"))
}

fn interception(value: &Value) -> Result<(), String> {
    value.as_str().ok_or_else(|| format!("{value} is not a string")).and_then(read::interception_mode)
}

/// What stands before a gateway.
fn topology(value: &Value) -> Result<(), String> {
    const FORWARD: &[&str] =
        &["UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"];
    let Value::Object(fields) = value else { return Err("is not an object".to_owned()) };
    fields.iter().try_for_each(|(field, value)| match (field.as_str(), value) {
        ("numTrustedProxies", count) if count.as_u64().is_some_and(|count| u32::try_from(count).is_ok()) => Ok(()),
        ("numTrustedProxies", other) => Err(format!("numTrustedProxies: {other} is no number of proxies")),
        ("forwardClientCertDetails", Value::String(word)) if FORWARD.contains(&word.as_str()) => Ok(()),
        ("forwardClientCertDetails", other) => {
            Err(format!("forwardClientCertDetails: {other} is none of {}", FORWARD.join(", ")))
        }
        ("proxyProtocol", Value::Object(settings)) if settings.is_empty() => Ok(()),
        ("proxyProtocol", other) => Err(format!("proxyProtocol: {other} is not {{}}: it has no settings")),
        (other, _) => Err(format!(
            "{other}: unknown field; known here: numTrustedProxies, forwardClientCertDetails, proxyProtocol"
        )),
    })
}

fn image_object(value: &Value) -> Result<(), String> {
    let Value::Object(fields) = value else { return Err("is not an object".to_owned()) };
    fields.iter().try_for_each(|(field, value)| match (field.as_str(), value) {
        ("imageType", Value::String(image_type)) => image::check_type(image_type),
        ("imageType", other) => Err(format!("imageType: {other} is not a string")),
        (other, _) => Err(format!("{other}: unknown field; did you mean imageType?")),
    })
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use serde_json::json;

    use super::*;

    const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/istiod/values.schema.json");

    /// What is refused here, `helm install` refuses.
    #[test]
    fn the_chart_refuses_the_same_settings_of_proxies() {
        let mut schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
        schema["allOf"] = json!([within(
            &["meshConfig", "defaultConfig"],
            &json!({
                "concurrency": { "maximum": 1024 },
                "discoveryAddress": { "pattern": "^.+:[0-9]{1,5}$" },
                "image": { "properties": { "imageType": { "enum": ["", "default", "distroless", "debug"] } } },
                "proxyAdminPort": { "minimum": 1 },
                "proxyMetadata": metadata_schema(),
                "statusPort": { "minimum": 1 },
            })
        )]);
        if env::var_os("UPDATE_GOLDENS").is_some() {
            fs::write(SCHEMA, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
        }
        let found: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
        assert!(found == schema, "{SCHEMA} is stale: set UPDATE_GOLDENS=1");
    }

    fn within(path: &[&str], properties: &Value) -> Value {
        path.iter()
            .rev()
            .fold(json!({ "properties": properties }), |inner, name| json!({ "properties": { *name: inner } }))
    }

    fn metadata_schema() -> Value {
        let unserved =
            UNSERVED_METADATA.iter().map(|(name, harmless)| ((*name).to_owned(), json!({ "enum": harmless })));
        let reserved = RESERVED.iter().map(|name| ((*name).to_owned(), json!(false)));
        let properties: Value = unserved.chain(reserved).collect::<serde_json::Map<_, _>>().into();
        let names = json!({ "^[A-Za-z_.-][A-Za-z0-9_.-]*$": true });
        json!({ "properties": properties, "patternProperties": names, "additionalProperties": false })
    }

    #[test]
    fn no_variable_is_both_unserved_and_reserved() {
        assert!(UNSERVED_METADATA.is_sorted() && RESERVED.is_sorted());
        assert!(UNSERVED_METADATA.iter().all(|(name, _)| !RESERVED.contains(name)));
    }
}
