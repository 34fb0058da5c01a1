//! Services that a connection cannot be told apart by. (Istio's way out is to allocate addresses for a proxy that captures
//! DNS, `ISTIO_META_DNS_AUTO_ALLOCATE`, which is not served.)

use std::collections::BTreeMap;

use mesh_types::Protocol;

use super::warning;
use crate::api::{Resolution, ServiceEntry};
use crate::diagnostic::{Code, Diagnostic};
use crate::object::Object;
use crate::objects::Objects;
use crate::path::FieldPath;

/// A host whose connections say nothing of whom they are for: it is called by its name, at whatever address that has, and
/// what is sent are bytes.
struct Anonymous<'a> {
    object: &'a Object<ServiceEntry>,
    host: &'a str,
}

/// A warning for each ServiceEntry with such a host on a port where somebody whom the same proxies see has another.
pub(super) fn services(objects: &Objects) -> Vec<Diagnostic> {
    let everybody = objects.mesh().default_service_export_to.clone();
    let mut found = Vec::new();
    let mut by_port: BTreeMap<u16, Vec<Anonymous<'_>>> = BTreeMap::new();
    for object in objects.service_entries.values().filter(|object| is_called_by_name(&object.spec)) {
        let carried = object.spec.ports.iter().filter(|port| Protocol::parse(&port.protocol) == Some(Protocol::Tcp));
        for port in carried {
            let known = by_port.entry(port.number).or_default();
            for host in &object.spec.hosts {
                let other = known.iter().find(|one| one.host != *host && meet(one.object, object, &everybody));
                if let Some(other) = other {
                    found.push(of(object, host, port.number, other));
                    break;
                }
                known.push(Anonymous { object, host });
            }
        }
    }
    found
}

fn is_called_by_name(spec: &ServiceEntry) -> bool {
    spec.addresses.is_empty() && matches!(spec.resolution, Resolution::Dns | Resolution::DnsRoundRobin)
}

fn of(object: &Object<ServiceEntry>, host: &str, port: u16, other: &Anonymous<'_>) -> Diagnostic {
    let Anonymous { object: first, host: their } = other;
    let message = format!(
        "must be set, so that connections to {host} on port {port} can be told from those to {their} \
         (ServiceEntry {}/{}); as it is, both go where the caller resolved the name to, and no rule applies",
        first.meta.namespace, first.meta.name
    );
    let path = FieldPath::default().field("spec").field("addresses");
    warning(object, Code::Conflict, &path, message)
}

/// True if some namespace sees both.
fn meet(one: &Object<ServiceEntry>, other: &Object<ServiceEntry>, everybody: &[String]) -> bool {
    let seen = |object: &Object<ServiceEntry>| -> Vec<String> {
        let said = if object.spec.export_to.is_empty() { everybody } else { &object.spec.export_to };
        let full = said.iter().map(|to| if to == "." { object.meta.namespace.to_string() } else { to.clone() });
        let full: Vec<String> = full.filter(|to| to != "~").collect();
        if said.is_empty() { vec!["*".to_owned()] } else { full }
    };
    let (one, other) = (seen(one), seen(other));
    let is_anybody = |to: &String| to == "*";
    one.iter().any(|to| other.contains(to) || (is_anybody(to) && !other.is_empty()))
        || (!one.is_empty() && other.iter().any(is_anybody))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, protocol: &str, more: &str) -> String {
        format!(
            "
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {name}}}
spec: {{hosts: [{name}.example.com], ports: [{{number: 3306, name: db, protocol: {protocol}}}], {more}}}
"
        )
    }

    fn said(yaml: &str) -> Vec<String> {
        let loaded = crate::load(&"test.yaml".into(), yaml);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let found = services(&Objects::new(loaded.objects));
        found.iter().map(|one| format!("{}: {}", one.path, one.message)).collect()
    }

    #[test]
    fn who_cannot_be_told_from_another_is_told_so() {
        let first = entry("a", "TCP", "resolution: DNS");
        let both = |second: &str| said(&(first.clone() + second));
        let words = both(&entry("b", "MYSQL", "resolution: DNS_ROUND_ROBIN"));
        assert_eq!(words.len(), 1);
        assert!(
            words[0].starts_with("spec.addresses: must be set, so that connections to b.example.com on port 3306 can be told from those to a.example.com (ServiceEntry a/a)"),
            "{words:?}"
        );
        for apart in [
            entry("b", "TCP", "resolution: DNS, addresses: [192.0.2.1]"),
            entry("b", "TLS", "resolution: DNS"),
            entry("b", "HTTP", "resolution: DNS"),
            entry("b", "TCP", "resolution: DNS, exportTo: ['~']"),
        ] {
            assert_eq!(both(&apart), Vec::<String>::new(), "{apart}");
        }
        let hidden = entry("a", "TCP", "resolution: DNS, exportTo: [.]");
        assert_eq!(
            said(&(hidden.clone() + &entry("b", "TCP", "resolution: DNS, exportTo: [.]"))),
            Vec::<String>::new()
        );
        assert_eq!(said(&(hidden + &entry("b", "TCP", "resolution: DNS, exportTo: [a]"))).len(), 1);
    }
}
