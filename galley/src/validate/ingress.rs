//! Ingresses: what Kubernetes itself asks for, whoever serves them.

use super::Checker;
use crate::api::{HttpIngressPath, IngressBackend, IngressSpec, PathType};
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn ingress(&mut self, spec: &IngressSpec) {
        let path = FieldPath::default().field("spec");
        if spec.default_backend.is_none() && spec.rules.is_empty() {
            self.error(Code::Missing, &path.field("rules"), "must be set, or defaultBackend");
        }
        if let Some(backend) = &spec.default_backend {
            self.backend(backend, &path.field("defaultBackend"));
        }
        for (index, tls) in spec.tls.iter().enumerate() {
            let path = path.field("tls").index(index);
            self.host_names(&tls.hosts, &path.field("hosts"));
            self.credential(&tls.secret_name, &path.field("secretName"));
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            let path = path.field("rules").index(index);
            self.host_name(&rule.host, &path.field("host"));
            for (index, one) in rule.http.iter().flat_map(|http| &http.paths).enumerate() {
                self.ingress_path(one, &path.field("http").field("paths").index(index));
            }
        }
    }

    fn ingress_path(&mut self, one: &HttpIngressPath, path: &FieldPath) {
        if one.path_type.is_none() {
            self.error(Code::Missing, &path.field("pathType"), "must be Exact, Prefix or ImplementationSpecific");
        }
        let is_left_out = one.path.is_empty() && one.path_type == Some(PathType::ImplementationSpecific);
        if !one.path.starts_with('/') && !is_left_out {
            let message = format!("{:?} must begin with a slash", one.path);
            self.error(Code::Invalid, &path.field("path"), &message);
        }
        self.backend(&one.backend, &path.field("backend"));
    }

    fn backend(&mut self, backend: &IngressBackend, path: &FieldPath) {
        let service = match (&backend.service, &backend.resource) {
            (Some(service), None) => service,
            (None, Some(_)) => return,
            (None, None) => return self.error(Code::Missing, &path.field("service"), "must be set"),
            (Some(_), Some(_)) => {
                return self.error(Code::Invalid, &path.field("resource"), "must not be set with service");
            }
        };
        let path = path.field("service");
        if service.name.is_empty() {
            self.error(Code::Missing, &path.field("name"), "must be set");
        }
        self.host_name(&service.name, &path.field("name"));
        match (service.port.name.is_empty(), service.port.number) {
            (true, 0) => self.error(Code::Missing, &path.field("port"), "must have a name or a number"),
            (false, 1..) => {
                self.error(Code::Invalid, &path.field("port").field("number"), "must not be set with name");
            }
            _ => {}
        }
    }
}
