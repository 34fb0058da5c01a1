//! The mesh that is served: services of two HTTP ports with five endpoints each, fifty to a namespace.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};

/// Services in a namespace.
const TOGETHER: usize = 50;
const ENDPOINTS: usize = 5;
/// The port that applications call.
pub(crate) const PORT: u16 = 80;
/// The service that is edited, which every application calls.
pub(crate) const EDITED: usize = 0;

/// Writes a mesh of so many services; what is edited has files of its own.
pub(crate) fn write(directory: &Path, services: usize) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("{}", directory.display()))?;
    for first in (0..services).step_by(TOGETHER) {
        let mut text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {}}}\n", namespace(first));
        for index in first..services.min(first + TOGETHER) {
            text += &service(index);
            if index != EDITED {
                text += &endpoints(index, &address(index, 0).to_string());
            }
        }
        put(directory, &format!("services-{first:05}.yaml"), &text)?;
    }
    put(directory, "virtual-service.yaml", &virtual_service("none"))?;
    put(directory, "endpoints.yaml", &endpoints(EDITED, &address(EDITED, 0).to_string()))
}

/// Writes a file at once, as editors do.
pub(crate) fn put(directory: &Path, name: &str, text: &str) -> Result<()> {
    let hidden = directory.join(format!(".{name}"));
    std::fs::write(&hidden, text).with_context(|| format!("{}", hidden.display()))?;
    let path = directory.join(name);
    std::fs::rename(&hidden, &path).with_context(|| format!("{}", path.display()))
}

/// The namespace of a service.
pub(crate) fn namespace(index: usize) -> String {
    format!("ns-{:03}", index / TOGETHER)
}

pub(crate) fn name(index: usize) -> String {
    format!("svc-{index:05}")
}

/// The name by which applications of any namespace call a service.
pub(crate) fn host(index: usize) -> String {
    format!("{}.{}.svc.cluster.local", name(index), namespace(index))
}

pub(crate) fn cluster_ip(index: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 96, 0, 0)) + index as u32 + 256)
}

/// The address of an endpoint; the first is that of the service's simulated proxy.
pub(crate) fn address(index: usize, endpoint: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 128, 0, 0)) + (index * ENDPOINTS + endpoint) as u32 + 256)
}

fn service(index: usize) -> String {
    let (name, namespace, ip) = (name(index), namespace(index), cluster_ip(index));
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
spec:
  clusterIP: {ip}
  selector: {{app: {name}}}
  ports: [{{name: http, port: {PORT}, targetPort: 8080}}, {{name: http-admin, port: 9090, targetPort: 9090}}]
"
    )
}

/// The endpoints of a service, of which the first has this address.
pub(crate) fn endpoints(index: usize, first: &str) -> String {
    let (name, namespace) = (name(index), namespace(index));
    let mut text = format!(
        "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-a, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: 8080}}, {{name: http-admin, port: 9090}}]
endpoints:
  - {{addresses: [{first}], conditions: {{ready: true}}}}
"
    );
    for endpoint in 1..ENDPOINTS {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  - {{addresses: [{}], conditions: {{ready: true}}}}", address(index, endpoint));
    }
    text
}

/// The VirtualService that is edited.
pub(crate) fn virtual_service(marker: &str) -> String {
    let (name, namespace) = (name(EDITED), namespace(EDITED));
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [{name}]
  http:
    - headers: {{request: {{set: {{x-edit: {marker}}}}}}}
      route: [{{destination: {{host: {name}, port: {{number: {PORT}}}}}}}]
"
    )
}
