//! A gateway with keys: TLS, mutual TLS, TLS that is passed on by its SNI, and bytes; keys are changed under load.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::client::{Call, Load, Tls};
use crate::kube::keys::Authority;
use crate::kube::{Kube, PATIENCE};
use crate::story::eventually;

const NAMESPACE: &str = "edge";
const OBJECTS: &str = "e2e/yaml/kube/edge.yaml";
const SIMPLE: &str = "simple.example.com";
const MUTUAL: &str = "mutual.example.com";
const PASSED: &str = "kubernetes.default.svc";
/// Whatever is configured is live sooner.
const LIVE: Duration = Duration::from_secs(30);

pub(super) fn protocols(kube: &Kube) -> Result<String> {
    let authority = Authority::new()?;
    let ready = install(kube)?;
    let (https, tcp) = (address(kube, "https")?, address(kube, "tcp")?);
    key(kube, NAMESPACE, "simple", &authority, SIMPLE)?;
    key(kube, NAMESPACE, "mutual", &authority, MUTUAL)?;
    kube.apply(OBJECTS)?;

    let anybody = Tls::trusting(&authority.root_pem())?;
    let live = eventually(LIVE, || answers(&Call::get(https, SIMPLE, "/details/0").over(&anybody)))?;
    let (certificate, key) = authority.issue("a caller")?;
    let known = Tls::known_by(&authority.root_pem(), &certificate, &key)?;
    eventually(LIVE, || answers(&Call::get(https, MUTUAL, "/details/0").over(&known)))?;
    refuses(&Call::get(https, MUTUAL, "/details/0").over(&anybody))?;
    let (certificate, key) = Authority::new()?.issue("a stranger")?;
    let stranger = Tls::known_by(&authority.root_pem(), &certificate, &key)?;
    refuses(&Call::get(https, MUTUAL, "/details/0").over(&stranger))?;

    let root = kube.get("configmap kube-root-ca.crt --namespace default")?;
    let cluster = Tls::trusting(root["data"]["ca.crt"].as_str().context("the cluster has no root")?)?;
    eventually(LIVE, || answers(&Call::get(https, PASSED, "/readyz").over(&cluster)))?;
    eventually(LIVE, || answers(&Call::get(tcp, "anything", "/details/0")))?;
    Ok(format!(
        "by node ports the gateway was ready after {:.1} s; TLS was served after {:.1} s, mutual TLS to who has a \
         certificate and to nobody else, the API server's own TLS by its SNI, and TCP",
        ready.as_secs_f64(),
        live.as_secs_f64(),
    ))
}

pub(super) fn rotation(kube: &Kube) -> Result<String> {
    let (old, new) = (Authority::new()?, Authority::new()?);
    install(kube)?;
    key(kube, NAMESPACE, "simple", &old, SIMPLE)?;
    kube.apply(OBJECTS)?;
    let call = Call::get(address(kube, "https")?, SIMPLE, "/details/0");
    let before = call.clone().over(&Tls::trusting(&old.root_pem())?);
    eventually(LIVE, || answers(&before))?;

    let load = Load::start_here(before.clone(), 200);
    eventually(LIVE, || {
        ensure!(load.so_far().is_begun(), "nobody calls");
        Ok(())
    })?;
    key(kube, NAMESPACE, "simple", &new, SIMPLE)?;
    let after = call.over(&Tls::trusting(&new.root_pem())?);
    let live = eventually(LIVE, || answers(&after))?;
    refuses(&before)?;
    let tally = load.stop();
    let said = tally.without_failure()?;
    ensure!(tally.connections == 1, "the connection was made {} times", tally.connections);
    Ok(format!("the new key was shown after {:.1} s; on the connection made before: {said}", live.as_secs_f64()))
}

pub(super) fn leave(kube: &Kube) -> Result<()> {
    kube.delete(OBJECTS)?;
    kube.helm(&format!("uninstall edge -n {NAMESPACE} --wait --ignore-not-found"))?;
    kube.kubectl(&format!("delete namespace {NAMESPACE} --ignore-not-found")).map(|_| ())
}

/// Installs a gateway of our own; returns how long that took.
fn install(kube: &Kube) -> Result<Duration> {
    let start = Instant::now();
    let values = "--values e2e/yaml/kube/edge.values.yaml";
    let install = format!("upgrade --install edge charts/gateway -n {NAMESPACE} --create-namespace {values}");
    kube.helm(&format!("{install} --wait --timeout {PATIENCE}"))?;
    Ok(start.elapsed())
}

fn address(kube: &Kube, port: &str) -> Result<SocketAddr> {
    node_port(kube, NAMESPACE, "edge", port)
}

/// Where a port of a Service is reached from outside, by its node ports.
pub(super) fn node_port(kube: &Kube, namespace: &str, service: &str, port: &str) -> Result<SocketAddr> {
    let service = kube.get(&format!("service {service} --namespace {namespace}"))?;
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let number = ports.find(|one| one["name"] == port).and_then(|one| one["nodePort"].as_u64());
    let node = *kube.node_addresses()?.first().context("there is no node")?;
    Ok(SocketAddr::new(node, u16::try_from(number.context("the port leads nowhere")?)?))
}

/// Writes the Secret that a Gateway names, with the root by which callers are known.
pub(super) fn key(kube: &Kube, namespace: &str, name: &str, authority: &Authority, host: &str) -> Result<()> {
    let (certificate, key) = authority.issue(host)?;
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": namespace },
        "stringData": { "tls.crt": certificate, "tls.key": key, "ca.crt": authority.root_pem() },
    });
    kube.kubectl_reads("apply --filename -", &secret.to_string()).map(|_| ())
}

pub(super) fn answers(call: &Call) -> Result<()> {
    let answer = call.from_here()?;
    ensure!(answer.status.is_success(), "{} answers {}", call.authority, answer.status);
    Ok(())
}

fn refuses(call: &Call) -> Result<()> {
    match call.from_here() {
        Ok(answer) => bail!("{} answered {} to whom it must not", call.authority, answer.status),
        Err(_) => Ok(()),
    }
}
