//! The order of precedence, as a table.

use serde_json::json;

use super::*;
use crate::settings::{Facts, Settings};

/// What the operator says: `autoInject`, and selectors by the labels `never` and `always`.
fn settings(auto_inject: &str) -> Settings {
    let values = json!({
        "global": { "proxy": { "autoInject": auto_inject } },
        "sidecarInjectorWebhook": {
            "neverInjectSelector": [{ "matchExpressions": [{ "key": "never", "operator": "Exists" }] }, {}],
            "alwaysInjectSelector": [{ "matchLabels": { "always": "yes" } }],
        },
    });
    Settings::read(&values.to_string(), "", Facts::default()).unwrap()
}

#[test]
fn the_order_of_precedence_is_istios() {
    let (inject, label) = (Ok(Decision::Inject), Decision::Leave(Reason::OptedOut(Asked::ByLabel)));
    let annotation = Decision::Leave(Reason::OptedOut(Asked::ByAnnotation));
    let never = Decision::Leave(Reason::NeverSelected);
    let not_asked = Decision::Leave(Reason::NotAsked);
    let host = Decision::Leave(Reason::HostNetwork);
    let system = |namespace: &str| Ok(Decision::Leave(Reason::SystemNamespace(namespace.to_owned())));
    // autoInject, namespace, hostNetwork, label, annotation, other label -> decision
    let rows = [
        ("enabled", "shop", false, None, None, None, inject.clone()),
        ("disabled", "shop", false, None, None, None, Ok(not_asked.clone())),
        ("disabled", "shop", false, Some("true"), None, None, inject.clone()),
        ("disabled", "shop", false, None, Some("true"), None, inject.clone()),
        ("enabled", "shop", false, Some("false"), None, None, Ok(label.clone())),
        ("enabled", "shop", false, None, Some("false"), None, Ok(annotation)),
        ("enabled", "shop", false, Some("false"), Some("true"), None, Ok(label.clone())),
        ("enabled", "shop", false, Some("true"), Some("false"), None, inject.clone()),
        ("disabled", "shop", false, Some(""), None, None, Ok(not_asked)),
        ("enabled", "shop", false, None, None, Some("never"), Ok(never.clone())),
        ("enabled", "shop", false, Some("true"), None, Some("never"), inject.clone()),
        ("disabled", "shop", false, None, None, Some("always"), inject.clone()),
        ("enabled", "shop", false, Some("false"), None, Some("always"), Ok(label)),
        ("enabled", "shop", true, Some("true"), None, None, Ok(host.clone())),
        ("enabled", "shop", true, Some("maybe"), None, None, Ok(host)),
        ("enabled", "kube-system", false, Some("true"), None, None, system("kube-system")),
        ("enabled", "local-path-storage", false, None, None, Some("always"), system("local-path-storage")),
        (
            "enabled",
            "shop",
            false,
            Some("yes"),
            None,
            None,
            Err(Refusal::because("label sidecar.istio.io/inject: \"yes\" is neither \"true\" nor \"false\"")),
        ),
    ];
    for (auto_inject, namespace, host_network, label, annotation, other, want) in rows {
        let mut labels = other.map(|name| json!({ name: "yes" })).unwrap_or(json!({}));
        if let Some(value) = label {
            labels[INJECT] = value.into();
        }
        let annotations = annotation.map(|value| json!({ INJECT: value }));
        let pod = json!({
            "metadata": { "labels": labels, "annotations": annotations },
            "spec": { "hostNetwork": host_network, "containers": [{ "name": "app" }] },
        });
        let row = format!("{auto_inject} {namespace} {host_network} {label:?} {annotation:?} {other:?}");
        assert_eq!(decide(&settings(auto_inject).policy, namespace, &Pod::open(&pod).unwrap()), want, "{row}");
    }
}

#[test]
fn selectors_are_kubernetes_own() {
    let matches = |selector: serde_json::Value, labels: serde_json::Value| {
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        selector.read().map(|selector| selector.matches(&serde_json::from_value(labels).unwrap()))
    };
    let expression = |operator: &str, values: &[&str]| json!({ "matchExpressions": [{ "key": "k", "operator": operator, "values": values }] });
    let rows = [
        (expression("In", &["a", "b"]), json!({ "k": "b" }), Ok(true)),
        (expression("In", &["a"]), json!({}), Ok(false)),
        (expression("NotIn", &["a"]), json!({ "k": "a" }), Ok(false)),
        (expression("NotIn", &["a"]), json!({}), Ok(true)),
        (expression("Exists", &[]), json!({ "k": "" }), Ok(true)),
        (expression("DoesNotExist", &[]), json!({ "k": "" }), Ok(false)),
        (json!({ "matchLabels": { "k": "a", "l": "b" } }), json!({ "k": "a" }), Ok(false)),
        (expression("In", &[]), json!({}), Err("k: In needs values".to_owned())),
        (expression("Exists", &["a"]), json!({}), Err("k: Exists takes no values".to_owned())),
        (
            expression("Like", &["a"]),
            json!({}),
            Err("k: \"Like\" is none of In, NotIn, Exists, DoesNotExist".to_owned()),
        ),
    ];
    for (selector, labels, want) in rows {
        assert_eq!(matches(selector.clone(), labels), want, "{selector}");
    }
}
