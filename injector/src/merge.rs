//! The user's own container of the name of one that is added: the user's fields win, as Kubernetes' strategic merge has
//! them; what the user does not say comes from the template.

use std::collections::HashMap;

use serde_json::Value;

use crate::image::AUTO;
use crate::json::Object;

/// How a field of a container is merged. Fields that are not named here are replaced.
enum Rule {
    /// A list of objects; those of the same key are one, and the user's replaces the template's.
    ByKey(&'static [&'static str]),
    /// Objects, field by field.
    Fields,
    /// A probe: field by field, but one handler only.
    Probe,
}

const RULES: &[(&str, Rule)] = &[
    ("env", Rule::ByKey(&["name"])),
    ("lifecycle", Rule::Fields),
    ("livenessProbe", Rule::Probe),
    ("ports", Rule::ByKey(&["containerPort", "protocol"])),
    ("readinessProbe", Rule::Probe),
    ("startupProbe", Rule::Probe),
    ("volumeMounts", Rule::ByKey(&["mountPath"])),
];

/// What a probe does; it does one of them.
const HANDLERS: &[&str] = &["exec", "grpc", "httpGet", "tcpSocket"];

/// The template's container with the user's over it.
pub(crate) fn merge(mut template: Object, user: &Object) -> Object {
    for (field, value) in user {
        let place = template.entry(field.clone()).or_insert(Value::Null);
        match field.as_str() {
            _ if value.is_null() => {}
            "image" if value == AUTO || value == "" => {}
            "imagePullPolicy" if is_default_of_auto(user, value) => {}
            "resources" => resources(place, value),
            "securityContext" => security_context(place, value),
            field => match RULES.iter().find(|(name, _)| *name == field) {
                Some((_, Rule::ByKey(keys))) => by_key(place, value, keys),
                Some((_, Rule::Fields)) => fields(place, value),
                Some((_, Rule::Probe)) => probe(place, value),
                None => *place = value.clone(),
            },
        }
    }
    template.retain(|_, value| !value.is_null());
    template
}

/// `Always` is what the API server writes beside an image without a tag, which `auto` is: it says nothing about the image
/// that it becomes.
fn is_default_of_auto(user: &Object, policy: &Value) -> bool {
    policy == "Always" && user.get("image").is_none_or(|image| image == AUTO || image == "")
}

fn fields(place: &mut Value, user: &Value) {
    match (place, user) {
        (Value::Object(place), Value::Object(user)) => {
            place.extend(user.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        (place, user) => *place = user.clone(),
    }
}

fn by_key(place: &mut Value, user: &Value, keys: &[&str]) {
    let (Value::Array(place), Value::Array(user)) = (&mut *place, user) else {
        *place = user.clone();
        return;
    };
    // Kubernetes' default, which need not be written.
    let field = |item: &Value, field: &str| match item.get(field) {
        None if field == "protocol" => Value::from("TCP"),
        value => value.cloned().unwrap_or_default(),
    };
    let key = |item: &Value| -> String { keys.iter().map(|name| field(item, name).to_string() + " ").collect() };
    let mut places: HashMap<String, usize> = place.iter().enumerate().map(|(index, item)| (key(item), index)).collect();
    for item in user {
        let index = *places.entry(key(item)).or_insert(place.len());
        match place.get_mut(index) {
            Some(same) => *same = item.clone(),
            None => place.push(item.clone()),
        }
    }
}

fn probe(place: &mut Value, user: &Value) {
    let handled = |probe: &Value| HANDLERS.iter().any(|handler| probe.get(*handler).is_some());
    if let Value::Object(template) = place
        && handled(user)
    {
        template.retain(|field, _| !HANDLERS.contains(&field.as_str()));
    }
    fields(place, user);
}

/// Requests and limits name by name. A request of the template's above a limit of the user's would be refused, so it
/// goes with the limit that it was made for.
fn resources(place: &mut Value, user: &Value) {
    let (Value::Object(template), Value::Object(user)) = (&mut *place, user) else {
        *place = user.clone();
        return;
    };
    for (field, value) in user {
        match field.as_str() {
            "requests" | "limits" => fields(template.entry(field.clone()).or_insert(Value::Null), value),
            _ => drop(template.insert(field.clone(), value.clone())),
        }
    }
    for (limited, other) in [("limits", "requests"), ("requests", "limits")] {
        let named: Vec<String> =
            user.get(limited).and_then(Value::as_object).map(|list| list.keys().cloned().collect()).unwrap_or_default();
        let said = |name: &str| user.get(other).and_then(|list| list.get(name)).is_some();
        if let Some(Value::Object(list)) = template.get_mut(other) {
            list.retain(|name, _| said(name) || !named.contains(name));
        }
    }
}

/// Field by field; what the API server would refuse beside the user's fields gives way.
fn security_context(place: &mut Value, user: &Value) {
    fields(place, user);
    let (Value::Object(merged), Value::Object(user)) = (place, user) else { return };
    let said = |field: &str| user.contains_key(field);
    if user.get("privileged") == Some(&Value::Bool(true)) && !said("allowPrivilegeEscalation") {
        merged.remove("allowPrivilegeEscalation");
    }
    if user.get("runAsUser").and_then(Value::as_u64) == Some(0) && !said("runAsNonRoot") {
        merged.insert("runAsNonRoot".to_owned(), Value::Bool(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use serde_json::json;

    fn merged(template: Value, user: Value) -> Value {
        merge(json::object(template), &json::object(user)).into()
    }

    #[test]
    fn the_user_wins_field_by_field() {
        let template = json!({
            "image": "proxy:1", "args": ["a", "b"],
            "env": [{ "name": "A", "value": "1" }, { "name": "B", "valueFrom": {} }],
            "volumeMounts": [{ "name": "x", "mountPath": "/x" }],
            "ports": [{ "containerPort": 80, "protocol": "TCP", "name": "p" }],
        });
        let user = json!({
            "image": "auto", "args": ["c"], "tty": true,
            "env": [{ "name": "B", "value": "2" }, { "name": "C", "value": "3" }],
            "volumeMounts": [{ "name": "y", "mountPath": "/x" }],
            "ports": [{ "containerPort": 80, "name": "mine" }],
        });
        assert_eq!(
            merged(template, user),
            json!({
                "image": "proxy:1", "args": ["c"], "tty": true,
                "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }, { "name": "C", "value": "3" }],
                "volumeMounts": [{ "name": "y", "mountPath": "/x" }],
                "ports": [{ "containerPort": 80, "name": "mine" }],
            })
        );
    }

    #[test]
    fn the_pull_policy_of_an_image_to_be_is_nobodys_wish() {
        let cases = [("auto", "Always", None), ("auto", "Never", Some("Never")), ("mine:1", "Always", Some("Always"))];
        for (image, policy, want) in cases {
            let merged = merged(json!({ "image": "proxy:1" }), json!({ "image": image, "imagePullPolicy": policy }));
            assert_eq!(merged.get("imagePullPolicy").and_then(Value::as_str), want, "{image} {policy}");
        }
        let template = json!({ "image": "proxy:1", "imagePullPolicy": "IfNotPresent" });
        let merged = merged(template, json!({ "image": "auto", "imagePullPolicy": "Always" }));
        assert_eq!(merged["imagePullPolicy"], "IfNotPresent");
    }

    #[test]
    fn a_probe_has_one_handler() {
        let template = json!({ "readinessProbe": { "httpGet": { "port": 15021 }, "periodSeconds": 15 } });
        let cases = [
            (json!({ "periodSeconds": 3 }), json!({ "httpGet": { "port": 15021 }, "periodSeconds": 3 })),
            (json!({ "exec": {} }), json!({ "exec": {}, "periodSeconds": 15 })),
        ];
        for (user, want) in cases {
            let merged = merged(template.clone(), json!({ "readinessProbe": user }));
            assert_eq!(merged["readinessProbe"], want);
        }
    }

    #[test]
    fn a_request_without_its_limit_goes_too() {
        let template = json!({ "resources": {
            "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "cpu": "2", "memory": "1Gi" },
        } });
        let user = json!({ "resources": { "limits": { "cpu": "50m" } } });
        assert_eq!(
            merged(template.clone(), user)["resources"],
            json!({ "requests": { "memory": "128Mi" }, "limits": { "cpu": "50m", "memory": "1Gi" } })
        );
        let user = json!({ "resources": { "requests": { "memory": "4Gi" }, "limits": {} } });
        assert_eq!(
            merged(template, user)["resources"],
            json!({ "requests": { "cpu": "100m", "memory": "4Gi" }, "limits": { "cpu": "2" } })
        );
    }

    #[test]
    fn security_contexts_stay_acceptable() {
        let template = json!({ "securityContext": {
            "runAsUser": 1337, "runAsNonRoot": true, "allowPrivilegeEscalation": false, "privileged": false,
        } });
        let of = |user: Value| merged(template.clone(), json!({ "securityContext": user }))["securityContext"].clone();
        assert_eq!(of(json!({ "runAsUser": 0 }))["runAsNonRoot"], json!(false));
        assert_eq!(of(json!({ "privileged": true })).get("allowPrivilegeEscalation"), None);
        assert_eq!(of(json!({ "runAsUser": 5 }))["runAsNonRoot"], json!(true));
    }
}
