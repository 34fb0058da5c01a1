//! The custom resource definitions of Istio's kinds.

use serde_json::{Value, json};

use super::{Schema, UNSERVED, extend};
use crate::api;
use crate::kind::Kind;

/// How a kind is called and shown, beside what [`Kind`] knows of it.
struct Presentation {
    short_names: &'static [&'static str],
    /// Istio keeps some kinds in another version than the first one served.
    storage: &'static str,
    /// Columns of `kubectl get`.
    columns: &'static [Column],
}

/// A column: heading, JSON path, explanation.
type Column = (&'static str, &'static str, &'static str);

/// The definition of every kind of Istio's, by name.
pub fn definitions() -> Vec<(String, Value)> {
    Kind::ALL.iter().filter(|kind| kind.group().ends_with("istio.io")).map(|kind| definition(*kind)).collect()
}

fn definition(kind: Kind) -> (String, Value) {
    let (plural, shown) = (plural(kind), presentation(kind));
    let name = format!("{plural}.{}", kind.group());
    let schema = schema(kind);
    let versions: Vec<Value> = kind
        .versions()
        .iter()
        .map(|version| {
            json!({
                "name": version,
                "served": true,
                "storage": *version == shown.storage,
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns(&shown),
                "schema": { "openAPIV3Schema": schema },
            })
        })
        .collect();
    let group = kind.group().split('.').next().unwrap_or_default();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": name,
            "annotations": { "helm.sh/resource-policy": "keep" },
            "labels": { "app": "istio-pilot", "app.kubernetes.io/part-of": "istio" },
        },
        "spec": {
            "group": kind.group(),
            "scope": "Namespaced",
            "names": {
                "categories": ["istio-io", format!("{group}-istio-io")],
                "kind": kind.as_str(),
                "listKind": format!("{kind}List"),
                "plural": plural,
                "singular": kind.as_str().to_lowercase(),
                "shortNames": shown.short_names,
            },
            "versions": versions,
        },
    });
    (name, definition)
}

fn plural(kind: Kind) -> String {
    let name = kind.as_str().to_lowercase();
    match name.strip_suffix('y') {
        Some(stem) if !stem.ends_with('a') => format!("{stem}ies"),
        _ => format!("{name}s"),
    }
}

/// What [`Kind`] does not know.
fn presentation(kind: Kind) -> Presentation {
    const GATEWAYS: Column = ("Gateways", ".spec.gateways", "Where it holds; nothing means in the mesh");
    const HOSTS: Column = ("Hosts", ".spec.hosts", "The hosts that it is about");
    const LOCATION: Column = ("Location", ".spec.location", "Part of the mesh or not");
    const RESOLUTION: Column = ("Resolution", ".spec.resolution", "How endpoints are found");
    let (short_names, storage, columns): (&[&str], _, &[Column]) = match kind {
        Kind::VirtualService => (&["vs"], "v1", &[GATEWAYS, HOSTS]),
        Kind::DestinationRule => (&["dr"], "v1", &[("Host", ".spec.host", "The host that it is about")]),
        Kind::Gateway => (&["gw"], "v1", &[]),
        Kind::ServiceEntry => (&["se"], "v1", &[HOSTS, LOCATION, RESOLUTION]),
        Kind::WorkloadEntry => (&["we"], "v1", &[("Address", ".spec.address", "Where the workload is")]),
        Kind::WorkloadGroup => (&["wg"], "v1", &[]),
        Kind::ProxyConfig => (&[], "v1beta1", &[]),
        Kind::EnvoyFilter => (&[], "v1alpha3", &[]),
        Kind::PeerAuthentication => (&["pa"], "v1", &[("Mode", ".spec.mtls.mode", "How strict mutual TLS is")]),
        Kind::AuthorizationPolicy => (&["ap"], "v1", &[("Action", ".spec.action", "What a match means")]),
        Kind::RequestAuthentication => (&["ra"], "v1", &[]),
        Kind::Telemetry => (&["telemetry"], "v1alpha1", &[]),
        Kind::WasmPlugin | Kind::TrafficExtension => (&[], "v1alpha1", &[]),
        _ => (&[], "v1", &[]),
    };
    Presentation { short_names, storage, columns }
}

/// The kind's own columns, then what became of the object, then its age.
fn columns(shown: &Presentation) -> Value {
    let own = shown.columns.iter().map(|(heading, path, description)| {
        json!({ "name": heading, "jsonPath": path, "type": "string", "description": description })
    });
    let shared = json!([
        {
            "name": "Valid", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"PassedValidation\")].status",
            "description": "Whether it is taken; why not stands in its status",
        },
        {
            "name": "Current", "type": "integer", "jsonPath": ".status.proxies.current",
            "description": "How many proxies have this generation",
        },
        {
            "name": "Proxies", "type": "integer", "jsonPath": ".status.proxies.total",
            "description": "How many proxies need it",
        },
        { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
    ]);
    let shared = shared.as_array().cloned().unwrap_or_default();
    own.chain(shared).collect()
}

/// The whole object.
fn schema(kind: Kind) -> Value {
    let mut spec = spec(kind);
    clean(&mut spec);
    let root = spec.get("description").cloned().unwrap_or_default();
    extend(&mut spec, json!({ "description": "What is wanted." }));
    json!({
        "type": "object",
        "description": root,
        "properties": { "spec": spec, "status": status(kind) },
    })
}

fn spec(kind: Kind) -> Value {
    macro_rules! of {
        ($($kind:ident),*) => {
            match kind { $( Kind::$kind => api::$kind::schema(), )* }
        };
    }
    of!(
        VirtualService,
        DestinationRule,
        Gateway,
        ServiceEntry,
        WorkloadEntry,
        WorkloadGroup,
        Sidecar,
        EnvoyFilter,
        ProxyConfig,
        PeerAuthentication,
        AuthorizationPolicy,
        RequestAuthentication,
        Telemetry,
        WasmPlugin,
        TrafficExtension,
        MeshConfig,
        Namespace,
        Service,
        EndpointSlice,
        Ingress,
        IngressClass,
        Pod,
        Node,
        Secret,
        ConfigMap
    )
}

/// What istiod says about the object.
fn status(kind: Kind) -> Value {
    let time = json!({ "type": "string", "format": "date-time" });
    let condition = json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "description": "What it is about." },
            "status": { "type": "string", "description": "True, False or Unknown." },
            "reason": { "type": "string", "description": "Why, in one word." },
            "message": { "type": "string", "description": "Why, for people." },
            "lastProbeTime": time,
            "lastTransitionTime": time,
            "observedGeneration": generation(),
        },
    });
    let proxies = json!({
        "type": "object",
        "description": "The proxies that this object concerns.",
        "properties": {
            "current": { "type": "integer", "minimum": 0, "description": "How many have this generation." },
            "total": { "type": "integer", "minimum": 0, "description": "How many need it." },
        },
    });
    let mut status = json!({
        "type": "object",
        "description": "What became of it.",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "conditions": { "type": "array", "items": condition, "description": "Where it stands." },
            "observedGeneration": generation(),
            "validationMessages": {
                "type": "array",
                "description": "What galley has to say about it.",
                "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            },
            "proxies": proxies,
        },
    });
    if kind == Kind::ServiceEntry {
        let address = json!({
            "type": "object",
            "properties": {
                "value": { "type": "string", "description": "The address." },
                "host": { "type": "string", "description": "The host that it stands for." },
            },
        });
        status["properties"]["addresses"] =
            json!({ "type": "array", "items": address, "description": "Virtual addresses given to its hosts." });
    }
    status
}

fn generation() -> Value {
    json!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "description": "The generation that this is about.",
    })
}

/// Takes out what only we understand.
fn clean(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove(UNSERVED);
            fields.values_mut().for_each(clean);
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_istios() {
        let of = |kind| plural(kind);
        assert_eq!(of(Kind::ServiceEntry), "serviceentries");
        assert_eq!(of(Kind::AuthorizationPolicy), "authorizationpolicies");
        assert_eq!(of(Kind::Gateway), "gateways");
        assert_eq!(of(Kind::Telemetry), "telemetries");
        assert_eq!(of(Kind::ProxyConfig), "proxyconfigs");
    }
}
