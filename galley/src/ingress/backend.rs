//! Where the requests of a path go.

use crate::api::{Destination, IngressBackend, IngressServiceBackend, PortSelector, ServicePort};
use crate::diagnostic::Code;
use crate::objects::{Key, Objects};
use crate::path::FieldPath;

/// What is wrong with a backend, and where in it.
pub(crate) struct Trouble {
    pub(crate) code: Code,
    pub(crate) path: FieldPath,
    pub(crate) message: String,
}

/// The destination of a backend of a namespace. `None` if it is no service, or has no port of the name. A port's number
/// is believed: it may come.
pub(super) fn destination(objects: &Objects, namespace: &str, backend: &IngressBackend) -> Option<Destination> {
    let service = backend.service.as_ref()?;
    let number = match service.port.number {
        0 => ports(objects, namespace, service)?.iter().find(|port| is_meant(service, port))?.port,
        number => number,
    };
    Some(Destination {
        host: format!("{}.{namespace}.svc.cluster.local", service.name),
        port: Some(PortSelector { number }),
        ..Destination::default()
    })
}

/// Why nobody answers for a backend of a namespace.
pub(crate) fn trouble(objects: &Objects, namespace: &str, backend: &IngressBackend) -> Option<Trouble> {
    let answer = "requests for it are answered with 503";
    let Some(service) = &backend.service else {
        let message = format!("is not supported by this version, which knows services alone; {answer}");
        return Some(Trouble { code: Code::Unsupported, path: FieldPath::default().field("resource"), message });
    };
    let (path, name) = (FieldPath::default().field("service"), &service.name);
    let Some(ports) = ports(objects, namespace, service) else {
        let message = format!("Service {namespace}/{name} does not exist; {answer}");
        return Some(Trouble { code: Code::NotFound, path: path.field("name"), message });
    };
    if ports.iter().any(|port| is_meant(service, port)) {
        return None;
    }
    let wanted = match service.port.number {
        0 => format!("{:?}", service.port.name),
        number => number.to_string(),
    };
    let known: Vec<String> = ports.iter().map(describe).collect();
    let message = format!("Service {namespace}/{name} has no port {wanted}, only {}; {answer}", known.join(", "));
    Some(Trouble { code: Code::NotFound, path: path.field("port"), message })
}

fn ports<'a>(objects: &'a Objects, namespace: &str, service: &IngressServiceBackend) -> Option<&'a [ServicePort]> {
    let key = Key { namespace: namespace.into(), name: service.name.as_str().into() };
    objects.services.get(&key).map(|object| object.spec.spec.ports.as_slice())
}

fn is_meant(service: &IngressServiceBackend, port: &ServicePort) -> bool {
    match service.port.number {
        0 => port.name == service.port.name,
        number => port.port == number,
    }
}

fn describe(port: &ServicePort) -> String {
    if port.name.is_empty() { port.port.to_string() } else { format!("{} ({})", port.port, port.name) }
}
