//! Whether an object is right: what galley finds in it, all of it at once.

use galley::{Diagnostic, Severity};
use serde_json::{Value, json};

/// So many problems are told; a longer answer is cut off by the API server's clients.
const MOST: usize = 50;

/// Answers an `AdmissionReview`.
pub(super) fn review(body: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = |what: &str| format!("the body is no AdmissionReview of admission.k8s.io/v1: {what}");
    let review: Value = serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
    let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let version = match (text("/kind"), text("/apiVersion")) {
        ("AdmissionReview", version @ ("admission.k8s.io/v1" | "admission.k8s.io/v1beta1")) => version,
        (kind, version) => return Err(wrong(&format!("its kind is {kind:?} of {version:?}"))),
    };
    let uid = text("/request/uid");
    if uid.is_empty() {
        return Err(wrong("it has no request.uid"));
    }
    let object = review.pointer("/request/object").filter(|object| !object.is_null());
    let findings = object.map(|object| galley::load_object(object).diagnostics).unwrap_or_default();
    let mut response = json!({ "uid": uid, "allowed": true });
    let (errors, others): (Vec<_>, Vec<_>) = findings.iter().partition(|finding| finding.is_error());
    let warnings: Vec<String> =
        others.into_iter().filter(|finding| finding.severity == Severity::Warning).map(say).collect();
    if !errors.is_empty() {
        let message = all(errors.into_iter().map(say).collect());
        tracing::info!(
            "refused {} {}/{}: {message}",
            text("/request/kind/kind"),
            text("/request/namespace"),
            text("/request/name")
        );
        response["allowed"] = false.into();
        response["status"] = json!({ "code": 422, "reason": "Invalid", "message": message });
    }
    if !warnings.is_empty() {
        response["warnings"] = warnings.into();
    }
    let answer = json!({ "apiVersion": version, "kind": "AdmissionReview", "response": response });
    serde_json::to_vec(&answer).map_err(|error| error.to_string())
}

/// A finding without the object, which its author knows.
fn say(finding: &Diagnostic) -> String {
    if finding.path.is_empty() { finding.message.clone() } else { format!("{}: {}", finding.path, finding.message) }
}

fn all(mut problems: Vec<String>) -> String {
    if problems.len() == 1 {
        return problems.swap_remove(0);
    }
    let count = problems.len();
    let more = if count > MOST { format!("\n- and {} more", count - MOST) } else { String::new() };
    problems.truncate(MOST);
    format!("{count} problems:\n- {}{more}", problems.join("\n- "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(object: Value) -> Value {
        let review = json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": { "uid": "7", "operation": "CREATE", "object": object },
        });
        let answer: Value = serde_json::from_slice(&review_of(&review).unwrap()).unwrap();
        assert_eq!(answer["response"]["uid"], "7");
        answer["response"].clone()
    }

    fn review_of(review: &Value) -> Result<Vec<u8>, String> {
        super::review(review.to_string().as_bytes())
    }

    fn virtual_service(version: &str, spec: Value) -> Value {
        json!({ "apiVersion": version, "kind": "VirtualService", "metadata": { "name": "a" }, "spec": spec })
    }

    #[test]
    fn all_problems_are_told_at_once_with_the_right_word() {
        let right = json!({ "hosts": ["a"], "http": [{ "match": [{ "uri": { "prefix": "/" } }], "directResponse": { "status": 200 } }] });
        assert_eq!(
            ask(virtual_service("networking.istio.io/v1", right.clone())),
            json!({ "uid": "7", "allowed": true })
        );
        let one = json!({ "hosts": ["a"], "http": [{ "match": [{ "url": { "prefix": "/" } }], "directResponse": { "status": 200 } }] });
        let answer = ask(virtual_service("networking.istio.io/v1alpha3", one));
        assert_eq!(answer["allowed"], false);
        assert_eq!(answer["status"]["message"], "spec.http[0].match[0].url: unknown field; did you mean `uri`?");
        let two = json!({ "hosts": ["a"], "http": [{ "match": [{ "url": { "prefix": "/" } }] }] });
        let message = ask(virtual_service("networking.istio.io/v1", two))["status"]["message"].to_string();
        assert!(message.contains("2 problems") && message.contains("directResponse"), "{message}");
        let group = ask(virtual_service("networking.stio.io/v1alpha3", right))["status"]["message"].to_string();
        assert!(group.contains("did you mean `networking.istio.io/v1`?"), "{group}");
    }

    #[test]
    fn what_is_deleted_is_not_looked_at() {
        assert_eq!(ask(Value::Null)["allowed"], true);
    }

    #[test]
    fn what_is_no_review_is_told_so() {
        for bad in [json!({}), json!([]), json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1" })] {
            assert!(review_of(&bad).unwrap_err().contains("no AdmissionReview"), "{bad}");
        }
    }
}
