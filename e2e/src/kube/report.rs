//! What an engineer asks for when a scenario has failed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Kube;

/// Writes everything about the cluster into `directory`, which is made. What cannot be had is replaced by the reason.
pub fn write(kube: &Kube, directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    for (file, words) in [
        ("pods.txt", "get pods --all-namespaces --output wide"),
        ("pods-described.txt", "describe pods --all-namespaces"),
        ("events.txt", "get events --all-namespaces --sort-by .lastTimestamp"),
        ("nodes.txt", "describe nodes"),
        ("services.yaml", "get services,endpointslices --all-namespaces --output yaml"),
        ("webhooks.yaml", "get mutatingwebhookconfigurations,validatingwebhookconfigurations --output yaml"),
        ("configmaps.yaml", "get configmaps --all-namespaces --output yaml"),
        ("istio.yaml", "get istio-io --all-namespaces --output yaml"),
    ] {
        save(directory.join(file), kube.kubectl(words))?;
    }
    let pods = kube.get("pods --all-namespaces")?;
    for pod in pods["items"].as_array().into_iter().flatten() {
        of_pod(kube, directory, pod)?;
    }
    Ok(())
}

fn of_pod(kube: &Kube, directory: &Path, pod: &Value) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    let ours = pod["metadata"]["labels"]["app"] == "istiod";
    let kinds = ["initContainers", "containers"].map(|kind| pod["spec"][kind].as_array().cloned().unwrap_or_default());
    for container in kinds.iter().flatten().map(|container| text(&container["name"])) {
        let base = format!("{namespace}-{name}-{container}");
        let logs = format!("logs --namespace {namespace} {name} --container {container} --tail 5000");
        save(directory.join(format!("{base}.log")), kube.kubectl(&logs))?;
        // Only a container that was started again has something to say here.
        if let Ok(previous) = kube.kubectl(&format!("{logs} --previous")) {
            save(directory.join(format!("{base}.previous.log")), Ok(previous))?;
        }
        if container == "istio-proxy" {
            let dump =
                format!("exec --namespace {namespace} {name} --container istio-proxy -- pilot-agent request GET");
            save(directory.join(format!("{base}.config_dump.json")), kube.kubectl(&format!("{dump} config_dump")))?;
            save(directory.join(format!("{base}.stats.txt")), kube.kubectl(&format!("{dump} stats/prometheus")))?;
        }
    }
    if ours {
        let status = format!("get --raw /api/v1/namespaces/{namespace}/pods/{name}:8080/proxy/debug/syncz");
        save(directory.join(format!("{name}.xds-status.json")), kube.kubectl(&status))?;
    }
    Ok(())
}

fn save(path: PathBuf, content: Result<String>) -> Result<()> {
    let content = content.unwrap_or_else(|error| format!("{error:#}\n"));
    std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}
