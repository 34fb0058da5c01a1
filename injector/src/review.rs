//! Kubernetes' `AdmissionReview`, in and out.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::context::Context;
use crate::decide::Reason;
use crate::inject::{Outcome, inject};
use crate::settings::Settings;

/// The answer to a review, and what it was about.
#[derive(Clone, Debug)]
pub struct Review {
    /// The body of the response: an `AdmissionReview` in JSON.
    pub response: Vec<u8>,
    /// What was decided, for log and metrics.
    pub outcome: Outcome,
    /// The pod, as `<namespace>/<name>`.
    pub pod: String,
}

/// A body that is no review; the answer is status 400 with this sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no AdmissionReview of admission.k8s.io/v1: {0}")]
pub struct NotAReview(String);

/// Answers `POST /inject`. `path` is the request's path, which may name cluster and network (`/inject/cluster/X/net/Y`).
///
/// # Errors
/// If the body is no review that could be answered.
pub fn review(settings: &Settings, path: &str, body: &[u8]) -> Result<Review, NotAReview> {
    let review: Value = serde_json::from_slice(body).map_err(|error| NotAReview(error.to_string()))?;
    let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let version = match (text("/kind"), text("/apiVersion")) {
        ("AdmissionReview", version @ ("admission.k8s.io/v1" | "admission.k8s.io/v1beta1")) => version,
        (kind, version) => return Err(NotAReview(format!("its kind is {kind:?} of {version:?}"))),
    };
    if !review.pointer("/request").is_some_and(Value::is_object) {
        return Err(NotAReview("it has no request".to_owned()));
    }
    // The API server always says which; `istioctl kube-inject` does not.
    let uid = text("/request/uid");
    let context = Context::of_namespace(text("/request/namespace")).with_path(path).map_err(NotAReview)?;
    let object = review.pointer("/request/object").unwrap_or(&Value::Null);
    let outcome = match not_a_creation(&review) {
        Some(what) => Outcome::LeftAlone(Reason::NotACreation(what)),
        None => inject(settings, &context, object),
    };
    let response = answer(version, uid, &outcome).to_string().into_bytes();
    Ok(Review { response, outcome, pod: name(&context.namespace, object) })
}

/// What else the request does than to create a pod.
fn not_a_creation(review: &Value) -> Option<String> {
    let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let operation = text("/request/operation");
    let resource = text("/request/resource/resource");
    let subresource = text("/request/subResource");
    let creates = matches!(operation, "" | "CREATE") && matches!(resource, "" | "pods") && subresource.is_empty();
    (!creates).then(|| format!("{operation} {resource}/{subresource}").trim_end_matches('/').to_owned())
}

fn name(namespace: &str, pod: &Value) -> String {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or("unnamed");
    format!("{namespace}/{name}")
}

fn answer(version: &str, uid: &str, outcome: &Outcome) -> Value {
    let mut response = json!({ "uid": uid, "allowed": true });
    match outcome {
        Outcome::Injected(injection) => {
            let patch = serde_json::to_vec(&injection.patch).unwrap_or_default();
            response["patchType"] = "JSONPatch".into();
            response["patch"] = STANDARD.encode(patch).into();
            // Older API servers know no warnings.
            if version == "admission.k8s.io/v1" && !injection.warnings.is_empty() {
                response["warnings"] = injection.warnings.clone().into();
            }
        }
        Outcome::LeftAlone(_) => {}
        Outcome::Refused(refusal) => {
            response["allowed"] = false.into();
            response["status"] = json!({
                "code": 422,
                "reason": "Invalid",
                "message": format!("{REFUSED}{refusal}"),
            });
        }
    }
    json!({ "apiVersion": version, "kind": "AdmissionReview", "response": response })
}

const REFUSED: &str = "the sidecar cannot be injected: ";

impl fmt::Display for Outcome {
    /// For the log: `injected`, with what its owner should know, or why not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Injected(injection) if injection.warnings.is_empty() => f.write_str("injected"),
            Self::Injected(injection) => write!(f, "injected, with warnings: {}", injection.warnings.join("; ")),
            Self::LeftAlone(reason) => write!(f, "left alone: {reason}"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}
