//! What the tests share.

use injector::{Context, Facts, Injection, Outcome, Settings, inject};
use serde_json::{Value, json};

/// With the chart's defaults, a tag that does not change with our version, and these values over it.
pub(crate) fn settings(values: Value) -> Settings {
    settings_and_mesh(values, json!({}))
}

/// As [`settings`], with a `MeshConfig`.
pub(crate) fn settings_and_mesh(mut values: Value, mesh: Value) -> Settings {
    if values["global"]["tag"].is_null() {
        values["global"]["tag"] = "test".into();
    }
    Settings::read(&values.to_string(), &mesh.to_string(), Facts::default()).unwrap()
}

/// A pod with annotations and one container.
pub(crate) fn pod(annotations: Value) -> Value {
    json!({
        "metadata": { "name": "web", "annotations": annotations },
        "spec": { "containers": [{ "name": "app", "image": "app:1", "ports": [{ "containerPort": 8080, "name": "http" }] }] },
    })
}

/// In the namespace `shop`.
pub(crate) fn outcome(settings: &Settings, pod: &Value) -> Outcome {
    inject(settings, &Context::of_namespace("shop"), pod)
}

/// The pod with its proxy; the patch is known to make it out of the one that came.
pub(crate) fn injected(settings: &Settings, pod: &Value) -> Injection {
    match outcome(settings, pod) {
        Outcome::Injected(injection) => {
            let mut patched = pod.clone();
            json_patch::patch(&mut patched, &injection.patch).unwrap();
            assert_eq!(patched, injection.pod);
            injection
        }
        other => panic!("{other}"),
    }
}

/// The container of this name, among all.
pub(crate) fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let lists = ["initContainers", "containers"].into_iter().filter_map(|list| pod["spec"][list].as_array());
    lists.flatten().find(|container| container["name"] == name).unwrap_or(&Value::Null)
}

/// The value of a variable of a container.
pub(crate) fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let variables = container["env"].as_array()?;
    variables.iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

/// Names of the containers of a list.
pub(crate) fn names<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    let containers = pod["spec"][list].as_array().into_iter().flatten();
    containers.map(|container| container["name"].as_str().unwrap_or_default()).collect()
}
