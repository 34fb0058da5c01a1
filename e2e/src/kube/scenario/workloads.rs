//! Jobs, init containers, StatefulSets and other names: what is not a Deployment behind a Service.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::kube::fixture::{CLIENT, SHOP};
use crate::kube::{Kube, PATIENCE};
use crate::story::eventually;

const OBJECTS: &str = "e2e/yaml/kube/workloads.yaml";
/// Whatever is made is known to every proxy sooner.
const KNOWN: Duration = Duration::from_secs(30);

pub(super) fn run(kube: &Kube) -> Result<String> {
    kube.apply(OBJECTS)?;
    let job = job(kube)?;
    let instances = stateful_set(kube)?;
    let alias = alias(kube)?;
    Ok(format!("{job}; {instances}; {alias}"))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.delete(OBJECTS).map(|_| ())
}

/// The sidecar starts before the user's init container, and ends with the application.
fn job(kube: &Kube) -> Result<String> {
    kube.kubectl(&format!("wait --for condition=complete job/once --namespace {SHOP} --timeout {PATIENCE}"))?;
    for container in ["before", "app"] {
        let log = kube.kubectl(&format!("logs job/once --namespace {SHOP} --container {container}"))?;
        let answer: Value = serde_json::from_str(&log).with_context(|| format!("{container} said {log}"))?;
        called_by_the_mesh(&answer["body"]).with_context(|| container.to_owned())?;
    }
    let job = kube.get(&format!("job/once --namespace {SHOP}"))?;
    ensure!(job["status"]["failed"].is_null(), "the job needed more than one pod: {}", job["status"]);
    Ok("a Job completed with its sidecar, and its init container called over mutual TLS".to_owned())
}

/// Each instance answers by its own name, and the headless Service by any.
fn stateful_set(kube: &Kube) -> Result<String> {
    kube.wait_rolled_out(SHOP, "statefulset/db")?;
    let known = eventually(KNOWN, || {
        for name in ["db-0", "db-1"] {
            let answer = ask(kube, &format!("{name}.db"), "/ratings/0")?;
            ensure!(answer["pod"] == name, "{name} was asked, and the answer is {answer}");
        }
        Ok(())
    })?;
    called_by_the_mesh(&ask(kube, "db-0.db", "/echo")?)?;
    called_by_the_mesh(&ask(kube, "db", "/echo")?)?;
    Ok(format!("a StatefulSet's instances answered by their names after {:.1} s", known.as_secs_f64()))
}

fn alias(kube: &Kube) -> Result<String> {
    let known = eventually(KNOWN, || called_by_the_mesh(&ask(kube, "alias", "/echo")?))?;
    Ok(format!("an ExternalName led to its Service after {:.1} s", known.as_secs_f64()))
}

fn ask(kube: &Kube, host: &str, path: &str) -> Result<Value> {
    kube.ask_from(CLIENT.0, CLIENT.1, &format!("http://{host}.{SHOP}.svc.cluster.local:9080{path}"))
}

/// An echo says who called, which only mutual TLS tells.
pub(super) fn called_by_the_mesh(echo: &Value) -> Result<()> {
    let peer = echo["headers"]["x-forwarded-client-cert"].as_str().unwrap_or_default();
    ensure!(peer.contains(&format!("URI=spiffe://cluster.local/ns/{SHOP}/sa/default")), "called by {peer:?}: {echo}");
    Ok(())
}
