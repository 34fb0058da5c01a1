//! References that lead nowhere.

use super::warning;
use crate::api::{Delegate, VirtualService};
use crate::diagnostic::{Code, Diagnostic};
use crate::object::Object;
use crate::objects::{Key, Objects};
use crate::path::FieldPath;

/// A warning for each rule whose delegate is not there, or does not take the rule on (`http[].delegate`): its requests
/// find no route.
pub(super) fn dangling(objects: &Objects) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for root in objects.virtual_services.values() {
        for (index, rule) in root.spec.http.iter().enumerate() {
            let Some(delegate) = &rule.delegate else { continue };
            let path = FieldPath::default().field("spec").field("http").index(index).field("delegate");
            let trouble = trouble(objects, root, delegate);
            found.extend(trouble.map(|(code, message)| warning(root, code, &path, message)));
        }
    }
    found
}

/// Why a delegate does not serve, by Istio's rules for it.
fn trouble(objects: &Objects, root: &Object<VirtualService>, to: &Delegate) -> Option<(Code, String)> {
    let own = &root.meta.namespace;
    let namespace = if to.namespace.is_empty() { own.clone() } else { to.namespace.as_str().into() };
    let key = Key { namespace, name: to.name.as_str().into() };
    let name = format!("VirtualService {}/{}", key.namespace, key.name);
    let Some(delegate) = objects.virtual_services.get(&key) else {
        return Some((Code::NotFound, format!("{name} does not exist, so that the rule leads nowhere")));
    };
    if !delegate.spec.hosts.is_empty() {
        let message =
            format!("{name} has hosts of its own, so that no rule can be delegated to it; the rule leads nowhere");
        return Some((Code::Unreachable, message));
    }
    let seen_by = |to: &String| match to.as_str() {
        "*" => true,
        "." => key.namespace == *own,
        to => to == &**own,
    };
    let hidden = !delegate.spec.export_to.is_empty() && !delegate.spec.export_to.iter().any(seen_by);
    hidden.then(|| {
        let message =
            format!("{name} is not exported to the namespace {own} (exportTo), so that the rule leads nowhere");
        (Code::Unreachable, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a rule of `shop/root` that delegates to `team/part`, beside this.
    fn said(part: &str) -> Vec<String> {
        let root = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root, namespace: shop}
spec:
  hosts: [shop.example.com]
  http:
    - match: [{uri: {prefix: /a}}]
      route: [{destination: {host: a}}]
    - delegate: {name: part, namespace: team}
---
";
        let loaded = crate::load(&"test.yaml".into(), &format!("{root}{part}"));
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        dangling(&Objects::new(loaded.objects)).iter().map(|one| format!("{}: {}", one.path, one.message)).collect()
    }

    fn part(spec: &str) -> String {
        format!(
            "{{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: part, namespace: team}}, spec: {{http: [{{route: [{{destination: {{host: b}}}}]}}], {spec}}}}}"
        )
    }

    #[test]
    fn a_delegate_that_does_not_serve_is_told_of() {
        let missing = "spec.http[1].delegate: VirtualService team/part does not exist, so that the rule leads nowhere";
        assert_eq!(said(""), [missing]);
        assert!(said(&part("hosts: [b]"))[0].contains("has hosts of its own"));
        assert!(said(&part("exportTo: [., other]"))[0].contains("is not exported to the namespace shop"));
        for serves in ["", "exportTo: ['*']", "exportTo: [shop]"] {
            assert_eq!(said(&part(serves)), Vec::<String>::new(), "{serves}");
        }
    }
}
