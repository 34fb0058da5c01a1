//! What is to be said of objects once all are known. It refuses nobody: what is missing may come a moment later, in an order
//! that nobody promised.

mod ambiguous;
mod gateway;
mod ingress;
mod references;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::object::{AnyObject, Object};
use crate::objects::Objects;
use crate::path::FieldPath;

/// All warnings.
pub(crate) fn findings(objects: &Objects) -> Vec<Diagnostic> {
    let mut found = references::dangling(objects);
    found.extend(ambiguous::services(objects));
    found.extend(gateway::hidden(objects));
    found.extend(ingress::troubles(objects));
    found
}

/// True if both say the same, since they have the same of all that is looked at.
pub(crate) fn same(one: &Objects, other: &Objects) -> bool {
    one.virtual_services.ptr_eq(&other.virtual_services)
        && one.gateways.ptr_eq(&other.gateways)
        && one.service_entries.ptr_eq(&other.service_entries)
        && one.mesh_configs.ptr_eq(&other.mesh_configs)
        && one.ingresses.ptr_eq(&other.ingresses)
        && one.ingress_classes.ptr_eq(&other.ingress_classes)
        && one.services.ptr_eq(&other.services)
}

fn warning<T>(object: &Object<T>, code: Code, path: &FieldPath, message: String) -> Diagnostic
where
    Object<T>: Clone,
    AnyObject: From<Object<T>>,
{
    Diagnostic {
        file: object.meta.source.file.clone(),
        position: object.meta.source.position,
        severity: Severity::Warning,
        code,
        object: Some(AnyObject::from(object.clone()).reference()),
        path: path.to_string(),
        message,
    }
}
