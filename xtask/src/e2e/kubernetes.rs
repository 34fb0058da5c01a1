//! Kubernetes' programs, etcd, CoreDNS and kind, built from Go's modules.

use std::path::PathBuf;

use anyhow::Result;

use super::cache::{Cache, Inputs};
use super::go;

/// Where the API server's programs are: `etcd` and `kube-apiserver`.
pub(crate) fn api_server(cache: &Cache) -> Result<PathBuf> {
    let module = go::module("kubernetes");
    cache.get("api-server", &Inputs::default().file(&module)?, |into| {
        go::build("etcd", &module, "-s -w", &into.join("etcd"), &["go.etcd.io/etcd/server/v3"])?;
        go::build("Kubernetes: API server", &module, &flags()?, into, &["k8s.io/kubernetes/cmd/kube-apiserver"])
    })
}

/// Where the other programs of a node are.
pub(crate) fn node(cache: &Cache) -> Result<PathBuf> {
    let (module, coredns) = (go::module("kubernetes"), go::module("coredns"));
    cache.get("kubernetes", &Inputs::default().file(&module)?.file(&coredns)?, |into| {
        let packages = ["kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubeadm", "kubectl"];
        let packages = packages.map(|name| format!("k8s.io/kubernetes/cmd/{name}"));
        go::build("Kubernetes", &module, &flags()?, into, &packages.each_ref().map(String::as_str))?;
        go::build("CoreDNS", &coredns, "-s -w", &into.join("coredns"), &["."])
    })
}

/// Where kind is.
pub(crate) fn kind(cache: &Cache) -> Result<PathBuf> {
    let module = go::module("kubernetes");
    let directory = cache.get("tools", &Inputs::default().file(&module)?, |into| {
        go::build("kind", &module, "-s -w", into, &["sigs.k8s.io/kind"])
    })?;
    Ok(directory.join("kind"))
}

/// The version that the nodes have.
pub(crate) fn version() -> Result<String> {
    go::version(&go::module("kubernetes"), "k8s.io/kubernetes")
}

/// Kubernetes learns its version from the linker.
fn flags() -> Result<String> {
    let version = version()?;
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let place = "k8s.io/component-base/version";
    Ok(format!("-s -w -X {place}.gitVersion={version} -X {place}.gitMajor={major} -X {place}.gitMinor={minor}"))
}
