//! From the text of files to objects and findings.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use mesh_types::Labels;

use crate::api;
use crate::diagnostic::{Code, Diagnostic, ObjectRef, Severity};
use crate::kind::Kind;
use crate::node::{Entry, Node, Position, Value};
use crate::object::{AnyObject, Meta, Object, Source};
use crate::path::{FieldPath, Step};
use crate::read::{Problem, Read, Reader, did_you_mean, object};
use crate::{validate, yaml};

object! {
    /// Kubernetes' metadata.
    #[expect(unreachable_pub, reason = "the macro makes public types")]
    pub struct Metadata {
        /// Name.
        name: String = "name",
        /// Namespace.
        namespace: String = "namespace",
        /// Labels.
        labels: Labels = "labels",
        /// Annotations.
        annotations: Labels = "annotations",
        /// Changes so far.
        generation: Option<i64> = "generation",
        /// When it was made.
        created: String = "creationTimestamp",
        /// When it was told to end.
        deleted: String = "deletionTimestamp",
    }
    ignoring [
        "deletionGracePeriodSeconds", "finalizers", "generateName", "managedFields",
        "ownerReferences", "resourceVersion", "selfLink", "uid",
    ]
}

/// What the text of one file says.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The objects without errors.
    pub objects: Vec<AnyObject>,
    /// Names of the objects that are refused: their last good versions stay in force.
    pub refused: Vec<ObjectRef>,
    /// The file as a whole cannot be read: all that it held stays in force.
    pub unreadable: bool,
    /// Everything there is to say.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the text of one file. `file` names it in findings.
pub fn load(file: &Arc<str>, text: &str) -> Loaded {
    let mut loaded = Loaded::default();
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            loaded.unreadable = true;
            loaded.diagnostics.push(Diagnostic {
                file: file.clone(),
                position: error.at,
                severity: Severity::Error,
                code: Code::Syntax,
                object: None,
                path: String::new(),
                message: format!("no YAML: {}", error.message),
            });
            return loaded;
        }
    };
    let mut seen = HashSet::new();
    for document in documents.iter().flat_map(items) {
        let mut one = Document { file, loaded: &mut loaded, object: None, forgives: false };
        one.read(document, &mut seen);
    }
    loaded
}

/// Reads one object as an API server has it. What a newer Kubernetes added to its own kinds is passed over there; in
/// Istio's kinds an unknown field is an error all the same.
pub fn load_object(json: &serde_json::Value) -> Loaded {
    let mut loaded = Loaded::default();
    let file = Arc::from("");
    let mut one = Document { file: &file, loaded: &mut loaded, object: None, forgives: true };
    one.read(&Node::from_json(json), &mut HashSet::new());
    loaded
}

/// The elements of a `List`, or the document itself.
fn items(document: &Node) -> Vec<&Node> {
    let is_list = document.get("kind").and_then(|entry| entry.value.as_str()) == Some("List");
    match document.get("items").map(|entry| &entry.value.value) {
        Some(Value::Sequence(items)) if is_list => items.iter().collect(),
        _ => vec![document],
    }
}

/// One document being read.
struct Document<'a> {
    file: &'a Arc<str>,
    loaded: &'a mut Loaded,
    object: Option<ObjectRef>,
    /// Unknown fields of Kubernetes' own are passed over.
    forgives: bool,
}

impl Document<'_> {
    fn read(&mut self, document: &Node, seen: &mut HashSet<ObjectRef>) {
        let Some(kind) = self.kind(document) else { return };
        let mut reader = Reader::default();
        let mut metadata = Metadata::default();
        if let Some(entry) = document.get("metadata") {
            reader.field(entry, &mut metadata);
        }
        if metadata.name.is_empty() {
            reader.error(Code::Missing, document.at, "metadata.name must be set".to_owned());
        }
        let meta = self.meta(kind, metadata, document.at);
        let reference = ObjectRef { kind, namespace: meta.namespace.clone(), name: meta.name.clone() };
        self.object = Some(reference.clone());
        let object = read_as(kind, meta, document, &mut reader);
        if !seen.insert(reference.clone()) {
            reader.error(Code::Duplicate, document.at, "the same object stands in this file twice".to_owned());
        }
        let mut problems = reader.into_problems();
        if self.forgives {
            problems.retain(|problem| !(problem.code == Code::UnknownField && is_kubernetes_own(kind, &problem.path)));
        }
        if let Some(object) = &object {
            problems.extend(validate::check(object, document));
        }
        let refused = problems.iter().any(|problem| problem.severity == Severity::Error);
        problems.into_iter().for_each(|problem| self.say(problem));
        match object {
            Some(object) if !refused => self.mesh_config(object),
            _ => self.loaded.refused.push(reference),
        }
    }

    /// The mesh's settings stand in a ConfigMap, as text.
    fn mesh_config(&mut self, object: AnyObject) {
        let AnyObject::ConfigMap(map) = &object else {
            self.loaded.objects.push(object);
            return;
        };
        let is_mesh =
            &*map.meta.name == "istio" || map.meta.name.starts_with("istio-") && map.spec.data.contains_key("mesh");
        if let Some(text) = map.spec.data.get("mesh").filter(|_| is_mesh) {
            let reference = ObjectRef {
                kind: Kind::MeshConfig,
                namespace: map.meta.namespace.clone(),
                name: map.meta.name.clone(),
            };
            match read_mesh(text) {
                Ok(mesh) => self.loaded.objects.push(Object { meta: map.meta.clone(), spec: Arc::new(mesh) }.into()),
                Err(problems) => {
                    self.loaded.refused.push(reference);
                    let at = map.meta.source.position;
                    problems.into_iter().for_each(|problem| {
                        let path = FieldPath::default().field("data").field("mesh");
                        let path = FieldPath([path.0, problem.path.0].concat());
                        self.say(Problem { at, path, ..problem });
                    });
                }
            }
        }
        self.loaded.objects.push(object);
    }

    fn kind(&mut self, document: &Node) -> Option<Kind> {
        let text =
            |key: &str| document.get(key).and_then(|entry| entry.value.as_str().map(|text| (text, entry.value.at)));
        let Value::Mapping(_) = &document.value else {
            self.problem(
                Code::WrongType,
                document.at,
                "an object must be a mapping with apiVersion and kind".to_owned(),
            );
            return None;
        };
        let (Some((version, version_at)), Some((kind, kind_at))) = (text("apiVersion"), text("kind")) else {
            self.problem(Code::Missing, document.at, "apiVersion and kind must be set".to_owned());
            return None;
        };
        let (group, number) = version.rsplit_once('/').unwrap_or(("", version));
        let served = |one: &&Kind| !one.versions().is_empty();
        let named: Vec<Kind> = Kind::ALL.iter().filter(served).copied().filter(|one| one.as_str() == kind).collect();
        let Some(found) = named.iter().copied().find(|one| one.group() == group).or(named.first().copied()) else {
            let known: Vec<&str> = Kind::ALL.iter().filter(served).map(|one| one.as_str()).collect();
            // Somebody else's kinds are none of the mesh's business.
            let ours = group.ends_with("istio.io") || did_you_mean(kind, &known).is_some();
            let hint = did_you_mean(kind, &known).map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
            let message = format!("kind {kind:?} of {version:?} is not known{hint}");
            let (code, severity) =
                if ours { (Code::UnknownKind, Severity::Error) } else { (Code::Ignored, Severity::Info) };
            self.say(Problem { severity, code, path: FieldPath::default().field("kind"), at: kind_at, message });
            return None;
        };
        if found.group() != group || !found.versions().contains(&number) {
            let right = if found.group().is_empty() {
                found.versions()[0].to_owned()
            } else {
                format!("{}/{}", found.group(), found.versions()[0])
            };
            let message = format!("{version:?} does not have the kind {kind}; did you mean `{right}`?");
            self.say(Problem {
                severity: Severity::Error,
                code: Code::UnknownKind,
                path: FieldPath::default().field("apiVersion"),
                at: version_at,
                message,
            });
            return None;
        }
        Some(found)
    }

    fn meta(&self, kind: Kind, metadata: Metadata, position: Position) -> Arc<Meta> {
        let namespace = match (kind.is_namespaced(), metadata.namespace.as_str()) {
            (false, _) => "",
            (true, "") => "default",
            (true, namespace) => namespace,
        };
        Arc::new(Meta {
            name: metadata.name.into(),
            namespace: namespace.into(),
            labels: metadata.labels,
            annotations: metadata.annotations,
            creation: metadata.created.parse().ok(),
            ending: !metadata.deleted.is_empty(),
            generation: metadata.generation.unwrap_or_default(),
            source: Source { file: self.file.clone(), position },
        })
    }

    fn problem(&mut self, code: Code, at: Position, message: String) {
        self.say(Problem { severity: Severity::Error, code, path: FieldPath::default(), at, message });
    }

    fn say(&mut self, problem: Problem) {
        self.loaded.diagnostics.push(Diagnostic {
            file: self.file.clone(),
            position: problem.at,
            severity: problem.severity,
            code: problem.code,
            object: self.object.clone(),
            path: problem.path.to_string(),
            message: problem.message,
        });
    }
}

/// True for a field that Kubernetes defines, and may add to with any release.
fn is_kubernetes_own(kind: Kind, path: &FieldPath) -> bool {
    let in_metadata = matches!(path.0.first(), Some(Step::Field(name)) if name == "metadata");
    in_metadata || !kind.is_istio()
}

fn read_mesh(text: &str) -> Result<api::MeshConfig, Vec<Problem>> {
    let problem = |error: yaml::SyntaxError| Problem {
        severity: Severity::Error,
        code: Code::Syntax,
        path: FieldPath::default(),
        at: error.at,
        message: format!("no YAML: {}", error.message),
    };
    let documents = yaml::documents(text).map_err(|error| vec![problem(error)])?;
    let Some(document) = documents.first() else { return Ok(api::MeshConfig::default()) };
    let mut reader = Reader::default();
    let mesh = api::MeshConfig::read(document, &mut reader);
    let mut problems = reader.into_problems();
    if let Some(mesh) = &mesh {
        problems.extend(validate::check_mesh(mesh, document));
    }
    match (mesh, problems) {
        (Some(mesh), problems) if problems.is_empty() => Ok(mesh),
        (_, problems) => Err(problems),
    }
}

/// Reads Istio's kinds from `spec`, Kubernetes' own from the whole document.
fn read_as(kind: Kind, meta: Arc<Meta>, document: &Node, reader: &mut Reader) -> Option<AnyObject> {
    macro_rules! spec {
        ($kind:ident) => {{
            let mut spec = api::$kind::default();
            match document.get("spec") {
                Some(entry) => reader.field(entry, &mut spec),
                None => {}
            }
            rest(document, reader, &["apiVersion", "kind", "metadata", "spec", "status"]);
            Some(Object { meta, spec: Arc::new(spec) }.into())
        }};
    }
    macro_rules! whole {
        ($kind:ident) => {{
            let spec = api::$kind::read(&without_head(document), reader)?;
            Some(Object { meta, spec: Arc::new(spec) }.into())
        }};
    }
    match kind {
        Kind::VirtualService => spec!(VirtualService),
        Kind::DestinationRule => spec!(DestinationRule),
        Kind::Gateway => spec!(Gateway),
        Kind::ServiceEntry => spec!(ServiceEntry),
        Kind::WorkloadEntry => spec!(WorkloadEntry),
        Kind::WorkloadGroup => spec!(WorkloadGroup),
        Kind::Sidecar => spec!(Sidecar),
        Kind::PeerAuthentication => spec!(PeerAuthentication),
        Kind::AuthorizationPolicy => spec!(AuthorizationPolicy),
        Kind::EnvoyFilter => spec!(EnvoyFilter),
        Kind::ProxyConfig => spec!(ProxyConfig),
        Kind::RequestAuthentication => spec!(RequestAuthentication),
        Kind::Telemetry => spec!(Telemetry),
        Kind::WasmPlugin => spec!(WasmPlugin),
        Kind::TrafficExtension => spec!(TrafficExtension),
        Kind::MeshConfig => None,
        Kind::Namespace => whole!(Namespace),
        Kind::Service => whole!(Service),
        Kind::EndpointSlice => whole!(EndpointSlice),
        Kind::Ingress => whole!(Ingress),
        Kind::IngressClass => whole!(IngressClass),
        Kind::Pod => whole!(Pod),
        Kind::Node => whole!(Node),
        Kind::Secret => whole!(Secret),
        Kind::ConfigMap => whole!(ConfigMap),
    }
}

fn rest(document: &Node, reader: &mut Reader, known: &[&str]) {
    let Value::Mapping(entries) = &document.value else { return };
    entries.iter().filter(|entry| !known.contains(&&*entry.key)).for_each(|entry| reader.unknown(entry, known));
}

fn without_head(document: &Node) -> Node {
    let Value::Mapping(entries) = &document.value else { return document.clone() };
    let is_head = |entry: &&Entry| !matches!(&*entry.key, "apiVersion" | "kind" | "metadata");
    Node { at: document.at, value: Value::Mapping(entries.iter().filter(is_head).cloned().collect()) }
}

/// Objects by name, as one file or several have them.
pub(crate) type ByName = BTreeMap<ObjectRef, AnyObject>;
