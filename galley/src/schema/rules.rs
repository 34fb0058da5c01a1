//! What schemas ask for beyond types, in the words of the API server.

use serde_json::{Value, json};

/// For `oneOf`: none or one of some fields.
pub(crate) fn at_most_one(fields: &[&str]) -> Value {
    let each: Vec<Value> = fields.iter().map(|field| json!({ "required": [field] })).collect();
    let none = json!({ "not": { "anyOf": each } });
    std::iter::once(none).chain(each).collect()
}

/// For `oneOf`: exactly one of some fields.
pub(crate) fn one_of(fields: &[&str]) -> Value {
    fields.iter().map(|field| json!({ "required": [field] })).collect()
}

/// For `x-kubernetes-validations`: one rule in CEL and what is said when it is broken.
pub(crate) fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// Which of the workload's `selector` and the attachments `targetRefs` and `targetRef` are set: one of them.
pub(crate) fn selector_or_targets() -> Value {
    let rule = rule(
        "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
        "only one of targetRefs or selector can be set",
    );
    json!([rule])
}
