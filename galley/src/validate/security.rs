//! Policies of who may call whom.

use super::Checker;
use crate::api::{AuthorizationPolicy, AuthorizationPolicyAction};
use crate::path::FieldPath;

/// Keys of conditions that are understood, beside `request.headers[…]`.
const CONDITIONS: &[&str] = &[
    "source.principal",
    "source.namespace",
    "source.ip",
    "remote.ip",
    "destination.ip",
    "destination.port",
    "connection.sni",
];

impl Checker<'_> {
    pub(super) fn authorization_policy(&mut self, spec: &AuthorizationPolicy) {
        let path = FieldPath::default().field("spec");
        if matches!(spec.action, AuthorizationPolicyAction::Custom | AuthorizationPolicyAction::Audit) {
            self.unserved(&path.field("action"));
        }
        if !spec.target_refs.is_empty() {
            self.unserved(&path.field("targetRefs"));
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            let path = path.field("rules").index(index);
            for (index, from) in rule.from.iter().enumerate() {
                let source = from.source.as_ref();
                let path = path.field("from").index(index).field("source");
                if source.is_some_and(|source| !source.request_principals.is_empty()) {
                    self.unserved(&path.field("requestPrincipals"));
                }
                if source.is_some_and(|source| !source.not_request_principals.is_empty()) {
                    self.unserved(&path.field("notRequestPrincipals"));
                }
            }
            for (index, condition) in rule.when.iter().enumerate() {
                let key = condition.key.as_str();
                if !CONDITIONS.contains(&key) && !key.starts_with("request.headers[") {
                    self.unserved(&path.field("when").index(index).field("key"));
                }
            }
        }
    }
}
