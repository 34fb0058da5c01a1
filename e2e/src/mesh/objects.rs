//! The objects that a cluster would hold: namespaces, services, pods. Written as a user would write them.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};

use super::{INGRESS, NAMESPACE};
use crate::shop::{GRPC_PORT, PORT};

/// Writes a file whole or not at all.
pub(super) fn write(directory: &Path, file: &str, yaml: &str) -> Result<()> {
    let (path, partial) = (directory.join(file), directory.join(format!(".{file}.partial")));
    std::fs::write(&partial, yaml)
        .and_then(|()| std::fs::rename(&partial, &path))
        .with_context(|| format!("writing {}", path.display()))
}

/// Namespaces and the mesh's settings.
pub(super) fn mesh() -> String {
    format!(
        "\
apiVersion: v1
kind: Namespace
metadata:
  name: istio-system
---
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    istio-injection: enabled
---
apiVersion: v1
kind: Namespace
metadata:
  name: {INGRESS}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: istio
  namespace: istio-system
data:
  mesh: |
    accessLogFile: /dev/stdout
"
    )
}

/// A service of the shop.
pub(super) fn service(name: &str, address: IpAddr) -> String {
    format!(
        "\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {NAMESPACE}
  labels:
    app: {name}
spec:
  clusterIP: {address}
  selector:
    app: {name}
  ports:
    - name: http
      port: {PORT}
      targetPort: {PORT}
    - name: grpc
      port: {GRPC_PORT}
      targetPort: {GRPC_PORT}
"
    )
}

/// What is to be known of a pod.
pub(super) struct PodObject<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) service_account: &'a str,
    pub(super) labels: &'a [(&'a str, &'a str)],
    pub(super) ip: IpAddr,
    pub(super) ending: bool,
}

/// A pod, as the API server shows it once it runs.
pub(super) fn pod(pod: &PodObject<'_>) -> String {
    // When it was told does not matter, only that it was.
    let ending = if pod.ending { "  deletionTimestamp: \"2026-01-01T00:00:00Z\"\n" } else { "" };
    let labels: String = pod.labels.iter().map(|(key, value)| format!("    {key}: {value}\n")).collect();
    format!(
        "\
apiVersion: v1
kind: Pod
metadata:
  name: {}
  namespace: {}
{ending}  labels:
{labels}spec:
  serviceAccountName: {}
  containers:
    - name: app
      image: shop
      ports:
        - containerPort: {PORT}
status:
  phase: Running
  podIP: {}
  podIPs:
    - ip: {}
  conditions:
    - type: Ready
      status: \"True\"
",
        pod.name, pod.namespace, pod.service_account, pod.ip, pod.ip
    )
}
