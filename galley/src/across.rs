//! What is to be said of objects once all are known. It refuses nobody: what is missing may come a moment later, in an order
//! that nobody promised.

mod ambiguous;
mod ingress;
mod references;

use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::object::{AnyObject, Object};
use crate::objects::Objects;
use crate::path::FieldPath;

/// All warnings.
pub(crate) fn findings(objects: &Objects) -> Vec<Diagnostic> {
    let mut found = references::dangling(objects);
    found.extend(ambiguous::services(objects));
    found.extend(ingress::troubles(objects));
    found
}

/// True if both say the same, since they have the same of all that is looked at.
pub(crate) fn same(one: &Objects, other: &Objects) -> bool {
    Arc::ptr_eq(&one.virtual_services, &other.virtual_services)
        && Arc::ptr_eq(&one.service_entries, &other.service_entries)
        && Arc::ptr_eq(&one.mesh_configs, &other.mesh_configs)
        && Arc::ptr_eq(&one.ingresses, &other.ingresses)
        && Arc::ptr_eq(&one.ingress_classes, &other.ingress_classes)
        && Arc::ptr_eq(&one.services, &other.services)
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
