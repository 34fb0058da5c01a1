//! What an object must satisfy beyond its types, as Istio's own validation asks.

mod gateway;
mod host;
mod http_route;
mod ingress;
mod mesh;
mod routing;
mod security;
mod service_entry;
mod sidecar;
#[cfg(test)]
mod tests;
mod traffic;

use crate::api::MeshConfig;
use crate::diagnostic::{Code, Severity};
use crate::kind::Kind;
use crate::node::{Node, Position, Value};
use crate::object::AnyObject;
use crate::path::{FieldPath, Step};
use crate::read::Problem;

/// What is wrong with an object; positions are found in its document.
pub(crate) fn check(object: &AnyObject, document: &Node) -> Vec<Problem> {
    let mut checker = Checker { document, problems: Vec::new() };
    match object {
        AnyObject::VirtualService(object) => checker.virtual_service(&object.spec),
        AnyObject::DestinationRule(object) => checker.destination_rule(&object.spec),
        AnyObject::PeerAuthentication(object) => checker.peer_authentication(&object.spec),
        AnyObject::AuthorizationPolicy(object) => checker.authorization_policy(&object.spec),
        AnyObject::ServiceEntry(object) => checker.service_entry(&object.spec),
        AnyObject::WorkloadEntry(object) => checker.workload_entry(&object.spec),
        AnyObject::WorkloadGroup(object) => checker.workload_group(&object.spec),
        AnyObject::Sidecar(object) => checker.sidecar(&object.spec),
        AnyObject::Gateway(object) => checker.gateway(&object.spec),
        AnyObject::Ingress(object) => checker.ingress(&object.spec.spec),
        AnyObject::EnvoyFilter(_)
        | AnyObject::ProxyConfig(_)
        | AnyObject::RequestAuthentication(_)
        | AnyObject::Telemetry(_)
        | AnyObject::WasmPlugin(_)
        | AnyObject::TrafficExtension(_) => checker.unserved_kind(object.kind()),
        _ => {}
    }
    checker.problems
}

/// What is wrong with the settings of the mesh; positions are found in their own text.
pub(crate) fn check_mesh(mesh: &MeshConfig, document: &Node) -> Vec<Problem> {
    let mut checker = Checker { document, problems: Vec::new() };
    checker.mesh(mesh);
    checker.problems
}

struct Checker<'a> {
    document: &'a Node,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    /// What this version does not do is refused by name, so that nobody relies on it.
    fn unserved(&mut self, path: &FieldPath) {
        self.error(Code::Unsupported, path, "is not supported by this version");
    }

    /// The same of one word of a field that has others.
    fn unserved_word(&mut self, path: &FieldPath, word: &str) {
        self.error(Code::Unsupported, path, &format!("{word} is not supported by this version"));
    }

    /// A kind that this version does not serve at all.
    fn unserved_kind(&mut self, kind: Kind) {
        let message = format!("{kind} is not supported by this version: it would do nothing");
        self.error(Code::Unsupported, &FieldPath::default().field("kind"), &message);
    }

    fn error(&mut self, code: Code, path: &FieldPath, message: &str) {
        let at = find(self.document, &path.0);
        self.problems.push(Problem {
            severity: Severity::Error,
            code,
            path: path.clone(),
            at,
            message: message.to_owned(),
        });
    }
}

/// Where a field stands; where its nearest present parent stands if it is absent.
fn find(node: &Node, steps: &[Step]) -> Position {
    let Some((step, rest)) = steps.split_first() else { return node.at };
    let next = match (step, &node.value) {
        (Step::Field(name), _) => node.get(name).map(|entry| &entry.value),
        (Step::Index(index), Value::Sequence(items)) => items.get(*index),
        _ => None,
    };
    next.map_or(node.at, |next| find(next, rest))
}
