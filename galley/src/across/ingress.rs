//! What is wrong with the Ingresses that the mesh serves. Those of others are none of its business.

use super::warning;
use crate::api::{Ingress, IngressBackend};
use crate::diagnostic::{Code, Diagnostic};
use crate::ingress::{Certificates, trouble};
use crate::object::Object;
use crate::objects::Objects;
use crate::path::FieldPath;

/// A warning for each path that nobody answers for, and each certificate that is not shown.
pub(super) fn troubles(objects: &Objects) -> Vec<Diagnostic> {
    let served = objects.ingresses_served();
    let certificates = Certificates::of(&served);
    let mut found = Vec::new();
    for &ingress in &served {
        for (path, backend) in backends(ingress) {
            if let Some(trouble) = trouble(objects, &ingress.meta.namespace, backend) {
                let path = FieldPath([path.0, trouble.path.0].concat());
                found.push(warning(ingress, trouble.code, &path, trouble.message));
            }
        }
        found.extend(hidden(ingress, &certificates));
    }
    found
}

/// All backends of an Ingress, and where they stand.
fn backends(ingress: &Object<Ingress>) -> Vec<(FieldPath, &IngressBackend)> {
    let path = FieldPath::default().field("spec");
    let default = ingress.spec.spec.default_backend.iter().map(|backend| (path.field("defaultBackend"), backend));
    let mut all: Vec<_> = default.collect();
    for (index, rule) in ingress.spec.spec.rules.iter().enumerate() {
        let path = path.field("rules").index(index).field("http").field("paths");
        let paths = rule.http.iter().flat_map(|http| &http.paths).enumerate();
        all.extend(paths.map(|(index, one)| (path.index(index).field("backend"), &one.backend)));
    }
    all
}

/// Hosts that are not served over TLS with the certificate that this Ingress has for them.
fn hidden(ingress: &Object<Ingress>, certificates: &Certificates<'_>) -> Vec<Diagnostic> {
    let path = FieldPath::default().field("spec").field("tls");
    let mut found = Vec::new();
    for (index, tls) in ingress.spec.spec.tls.iter().enumerate() {
        let path = path.index(index);
        if tls.secret_name.is_empty() {
            let message = "must be set; without it, its hosts are not served over TLS".to_owned();
            found.push(warning(ingress, Code::Missing, &path.field("secretName"), message));
            continue;
        }
        for host in Certificates::hosts_of(tls) {
            let Some(shown) = certificates.get(host).filter(|shown| shown.tls.secret_name != tls.secret_name) else {
                continue;
            };
            let meta = &shown.ingress.meta;
            let message = format!(
                "{host} is served with the Secret {} of Ingress {}/{}, which is older; this one is not used for it",
                shown.tls.secret_name, meta.namespace, meta.name
            );
            found.push(warning(ingress, Code::Conflict, &path.field("secretName"), message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of two Ingresses beside a Service `web` with port `http` (80), the second of which has this.
    fn said(class: &str, spec: &str) -> Vec<String> {
        let text = format!(
            "
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: first, annotations: {{kubernetes.io/ingress.class: istio}}}}
spec: {{tls: [{{hosts: [a.org], secretName: first}}], defaultBackend: {{service: {{name: web, port: {{name: http}}}}}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: second, annotations: {{kubernetes.io/ingress.class: {class}}}}}
spec: {{{spec}}}
"
        );
        let loaded = crate::load(&"test.yaml".into(), &text);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let found = troubles(&Objects::new(loaded.objects));
        found.iter().map(|one| format!("{}: {}", one.path, one.message)).collect()
    }

    fn to(backend: &str) -> String {
        format!("rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {{{backend}}}}}]}}}}]")
    }

    #[test]
    fn what_nobody_answers_for_is_told_of() {
        let path = "spec.rules[0].http.paths[0].backend";
        for (backend, expected) in [
            (
                "resource: {apiGroup: k8s.example.com, kind: StorageBucket, name: static}",
                format!(
                    "{path}.resource: is not supported by this version, which knows services alone; requests for it are answered with 503"
                ),
            ),
            (
                "service: {name: wbe, port: {number: 80}}",
                format!(
                    "{path}.service.name: Service default/wbe does not exist; requests for it are answered with 503"
                ),
            ),
            (
                "service: {name: web, port: {number: 81}}",
                format!(
                    "{path}.service.port: Service default/web has no port 81, only 80 (http); requests for it are answered with 503"
                ),
            ),
            (
                "service: {name: web, port: {name: https}}",
                format!(
                    "{path}.service.port: Service default/web has no port \"https\", only 80 (http); requests for it are answered with 503"
                ),
            ),
        ] {
            assert_eq!(said("istio", &to(backend)), [expected]);
            assert_eq!(said("nginx", &to(backend)), Vec::<String>::new(), "it is somebody else's");
        }
        assert_eq!(said("istio", &to("service: {name: web, port: {number: 80}}")), Vec::<String>::new());
    }

    #[test]
    fn certificates_that_are_not_shown_are_told_of() {
        let rule = to("service: {name: web, port: {number: 80}}");
        let tls = |tls: &str| said("istio", &format!("tls: [{tls}], {rule}"));
        assert_eq!(
            tls("{hosts: [b.org]}"),
            ["spec.tls[0].secretName: must be set; without it, its hosts are not served over TLS"]
        );
        assert_eq!(
            tls("{hosts: [b.org, a.org], secretName: second}"),
            [
                "spec.tls[0].secretName: a.org is served with the Secret first of Ingress default/first, which is older; this one is not used for it"
            ]
        );
        assert_eq!(tls("{hosts: [a.org], secretName: first}"), Vec::<String>::new(), "it is the same one");
    }
}
