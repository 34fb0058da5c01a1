//! A pod, opened so far as injection touches it. Whatever is not named here is kept as it came.

use std::collections::HashSet;

use mesh_types::Labels;
use serde_json::Value;

use crate::json::{self, Object};
use crate::refusal::Refusal;

/// A pod (or a pod template) taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    rest: Object,
    metadata: Object,
    spec: Object,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) containers: Vec<Object>,
    pub(crate) init_containers: Vec<Object>,
    pub(crate) volumes: Vec<Object>,
    pub(crate) image_pull_secrets: Vec<Object>,
}

impl Pod {
    /// Takes a pod apart.
    ///
    /// # Errors
    /// With every field that has not the shape that Kubernetes gives it.
    pub(crate) fn open(pod: &Value) -> Result<Self, Refusal> {
        let Value::Object(pod) = pod else { return Err(Refusal::because("the pod is not an object")) };
        let mut opening = Opening::default();
        let of_pod = |key: &str| pod.get(key).cloned();
        let mut metadata = opening.object(of_pod("metadata"), "metadata");
        let mut spec = opening.object(of_pod("spec"), "spec");
        let others = pod.iter().filter(|(key, _)| !matches!(key.as_str(), "metadata" | "spec"));
        let pod = Self {
            labels: opening.strings(metadata.remove("labels"), "metadata.labels"),
            annotations: opening.strings(metadata.remove("annotations"), "metadata.annotations"),
            containers: opening.containers(spec.remove("containers"), "spec.containers"),
            init_containers: opening.containers(spec.remove("initContainers"), "spec.initContainers"),
            volumes: opening.named(spec.remove("volumes"), "spec.volumes"),
            image_pull_secrets: opening.objects(spec.remove("imagePullSecrets"), "spec.imagePullSecrets"),
            rest: others.map(|(key, value)| (key.clone(), value.clone())).collect(),
            metadata,
            spec,
        };
        if pod.containers.is_empty() {
            opening.refusal.add("spec.containers is empty");
        }
        opening.refusal.into_result().map(|()| pod)
    }

    /// Puts it together again.
    pub(crate) fn close(self) -> Value {
        let Self { mut rest, mut metadata, mut spec, labels, annotations, .. } = self;
        for (key, strings) in [("labels", labels), ("annotations", annotations)] {
            if !strings.is_empty() {
                metadata.insert(key.to_owned(), strings.into_iter().map(|(k, v)| (k, Value::String(v))).collect());
            }
        }
        let lists = [
            ("containers", self.containers),
            ("initContainers", self.init_containers),
            ("volumes", self.volumes),
            ("imagePullSecrets", self.image_pull_secrets),
        ];
        for (key, list) in lists {
            if !list.is_empty() {
                spec.insert(key.to_owned(), list.into_iter().map(Value::Object).collect());
            }
        }
        rest.insert("metadata".to_owned(), metadata.into());
        rest.insert("spec".to_owned(), spec.into());
        rest.into()
    }

    /// A text of the metadata, such as `name`.
    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        json::text(&self.metadata, key).filter(|text| !text.is_empty())
    }

    /// Owners, as `metadata.ownerReferences` has them.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &Object> {
        json::objects(&self.metadata, "ownerReferences")
    }

    /// The rest of the specification.
    pub(crate) fn spec(&self) -> &Object {
        &self.spec
    }

    /// The rest of the specification.
    pub(crate) fn spec_mut(&mut self) -> &mut Object {
        &mut self.spec
    }

    /// The name by which a person finds it: its own, or the prefix that a controller gave.
    pub(crate) fn display_name(&self) -> &str {
        self.metadata("name").or_else(|| self.metadata("generateName")).unwrap_or_default().trim_end_matches('-')
    }

    /// Containers that run as long as the pod: ordinary ones, and sidecars among the init containers.
    pub(crate) fn running_mut(&mut self) -> impl Iterator<Item = &mut Object> {
        let sidecars = self.init_containers.iter_mut().filter(|container| is_sidecar(container));
        sidecars.chain(&mut self.containers)
    }

    /// As [`Self::running_mut`].
    pub(crate) fn running(&self) -> impl Iterator<Item = &Object> {
        self.init_containers.iter().filter(|container| is_sidecar(container)).chain(&self.containers)
    }
}

/// True for an init container that keeps running (Kubernetes' sidecar containers).
fn is_sidecar(container: &Object) -> bool {
    json::text(container, "restartPolicy") == Some("Always")
}

/// The name of a container or a volume.
pub(crate) fn name(object: &Object) -> &str {
    json::text(object, "name").unwrap_or_default()
}

/// The names of containers or volumes.
pub(crate) fn names(objects: &[Object]) -> HashSet<&str> {
    objects.iter().map(name).collect()
}

/// Fields of a container that injection looks into, and the shape of each.
const CONTAINER_OBJECTS: &[&str] =
    &["livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "securityContext"];
const CONTAINER_LISTS: &[&str] = &["ports", "env", "volumeMounts"];

/// Reads shapes and collects what has another one.
#[derive(Default)]
struct Opening {
    refusal: Refusal,
}

impl Opening {
    fn object(&mut self, value: Option<Value>, path: &str) -> Object {
        match value {
            Some(Value::Object(map)) => map,
            None | Some(Value::Null) => Object::new(),
            Some(_) => {
                self.refusal.add(format!("{path} is not an object"));
                Object::new()
            }
        }
    }

    fn strings(&mut self, value: Option<Value>, path: &str) -> Labels {
        let mut strings = Labels::new();
        for (key, value) in self.object(value, path) {
            match value {
                Value::String(text) => drop(strings.insert(key, text)),
                _ => self.refusal.add(format!("{path}: the value of {key} is not a string")),
            }
        }
        strings
    }

    fn objects(&mut self, value: Option<Value>, path: &str) -> Vec<Object> {
        let items = match value {
            Some(Value::Array(items)) => items,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => {
                self.refusal.add(format!("{path} is not a list"));
                Vec::new()
            }
        };
        let items = items.into_iter().enumerate();
        items.map(|(index, item)| self.object(Some(item), &format!("{path}[{index}]"))).collect()
    }

    /// Objects with names, each of which occurs once.
    fn named(&mut self, value: Option<Value>, path: &str) -> Vec<Object> {
        let objects = self.objects(value, path);
        let mut seen = HashSet::new();
        for (index, object) in objects.iter().enumerate() {
            match name(object) {
                "" => self.refusal.add(format!("{path}[{index}] has no name")),
                own if !seen.insert(own) => self.refusal.add(format!("{path}: the name {own} occurs twice")),
                _ => {}
            }
        }
        objects
    }

    fn containers(&mut self, value: Option<Value>, path: &str) -> Vec<Object> {
        let containers = self.named(value, path);
        for container in &containers {
            let mut wrong = |key: &str, what: &str| {
                self.refusal.add(format!("{path}: {key} of container {} is not {what}", name(container)));
            };
            for key in CONTAINER_OBJECTS {
                if container.get(*key).is_some_and(|value| !value.is_object() && !value.is_null()) {
                    wrong(key, "an object");
                }
            }
            for key in CONTAINER_LISTS {
                let objects = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_object));
                if container.get(*key).is_some_and(|value| !objects(value) && !value.is_null()) {
                    wrong(key, "a list of objects");
                }
            }
        }
        containers
    }
}
