//! Injection without a webhook: objects that hold pods or templates of pods, as files have them.

use serde_json::Value;

use crate::context::Context;
use crate::inject::{Outcome, inject};
use crate::owner::Workload;
use crate::settings::Settings;

/// Kinds that hold a pod: API group, kind, and where the pod is.
const KINDS: &[(&str, &str, &str)] = &[
    ("", "Pod", ""),
    ("", "PodTemplate", "/template"),
    ("", "ReplicationController", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "Deployment", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("apps.openshift.io", "DeploymentConfig", "/spec/template"),
    ("argoproj.io", "Rollout", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    ("batch", "Job", "/spec/template"),
];

/// What became of the pods of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Each object that holds a pod, as `<kind> <namespace>/<name>`, and what became of it.
    pub pods: Vec<(String, Outcome)>,
}

impl Report {
    /// True if the object is another one now.
    pub fn is_changed(&self) -> bool {
        self.pods.iter().any(|(_, outcome)| matches!(outcome, Outcome::Injected(_)))
    }
}

/// Adds the proxy to every pod of an object, in place: to a pod, the template of a workload, or the items of a list.
/// Any other object stays as it is. `namespace` is that of objects that do not say.
pub fn inject_object(settings: &Settings, namespace: &str, object: &mut Value) -> Report {
    let mut report = Report::default();
    visit(settings, namespace, object, &mut report);
    report
}

fn visit(settings: &Settings, namespace: &str, object: &mut Value, report: &mut Report) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    if kind == "List" || kind == "PodList" {
        let items = object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten();
        return items.for_each(|item| visit(settings, namespace, item, report));
    }
    let own = text("/metadata/namespace");
    let namespace = if own.is_empty() { namespace } else { &own };
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let place = KINDS.iter().find(|(known, holder, _)| *known == group && *holder == kind);
    let Some((pod, pointer)) = place.and_then(|(_, _, pointer)| Some((object.pointer_mut(pointer)?, pointer))) else {
        return;
    };
    let called = format!("{kind} {namespace}/{name}");
    // A pod knows its workload itself.
    let workload = (!pointer.is_empty()).then_some(Workload { api_version, kind, name });
    let context = Context { workload, ..Context::of_namespace(namespace) };
    let outcome = inject(settings, &context, pod);
    if let Outcome::Injected(injection) = &outcome {
        *pod = injection.pod.clone();
    }
    report.pods.push((called, outcome));
}
