//! A cluster as a place for the shop: deployments in the namespace `default`, called by `weft-call` in their pods.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Kube, tools};
use crate::client::{Answer, Call, GrpcCall};
use crate::mesh::INGRESS_PORT;
use crate::place::{Ask, Callee, Caller, Place, Unanswered};
use crate::shop::{GRPC_PORT, PORT, Role};

const NAMESPACE: &str = "default";
/// The gateway's namespace, and the Service that opens the port of the shop's Gateway there.
const INGRESS: (&str, &str) = ("istio-ingress", "shop");
const SERVICES: [(Role, &[&str]); 4] = [
    (Role::Productpage, &["v1"]),
    (Role::Details, &["v1"]),
    (Role::Reviews, &["v1", "v2", "v3"]),
    (Role::Ratings, &["v1", "v2"]),
];

/// The shop in a cluster that has the mesh.
#[derive(Debug)]
pub(super) struct Shop<'a> {
    kube: &'a Kube,
    /// What was applied, by the names of files.
    applied: RefCell<BTreeMap<String, String>>,
}

impl<'a> Shop<'a> {
    /// Opens it, and waits until it is open.
    pub(super) fn open(kube: &'a Kube) -> Result<Self> {
        kube.kubectl_reads("apply --filename -", &objects().to_string())?;
        for deployment in deployments() {
            kube.wait_rolled_out(NAMESPACE, &format!("deployment/{deployment}"))?;
        }
        let shop = Self { kube, applied: RefCell::default() };
        shop.apply("ingress.yaml", include_str!("../../yaml/ingress.yaml"))?;
        Ok(shop)
    }

    /// Removes all of it.
    pub(super) fn close(kube: &Kube) -> Result<()> {
        kube.kubectl_reads("delete --ignore-not-found --filename -", &objects().to_string())?;
        let istio = "gateways,virtualservices,destinationrules,peerauthentications,authorizationpolicies";
        kube.kubectl(&format!("delete {istio} --namespace {NAMESPACE} --all")).map(|_| ())
    }

    fn address_of(&self, workload: &str) -> Result<SocketAddr> {
        let (app, version) = workload.rsplit_once('-').context("a workload is a service and a version")?;
        let pods = self.kube.pods(NAMESPACE, &format!("app={app},version={version}"))?;
        let address = pods.iter().find_map(|pod| pod["status"]["podIP"].as_str());
        Ok(SocketAddr::new(address.with_context(|| format!("{workload} has no address"))?.parse()?, PORT))
    }

    fn ingress(&self) -> Result<SocketAddr> {
        Ok(SocketAddr::new(self.kube.balanced_address(INGRESS.0, INGRESS.1)?, INGRESS_PORT))
    }

    fn ask_in(&self, workload: &str, url: &str, ask: &Ask, times: usize) -> Result<Vec<Answer>> {
        let times = times.to_string();
        let headers: Vec<String> =
            ask.headers.iter().map(|(name, value)| format!("--header={name}: {value}")).collect();
        let mut arguments = vec!["--answers", "--times", &times, "--method", ask.method.as_str(), url];
        arguments.extend(headers.iter().map(String::as_str));
        self.kube.calls_from((NAMESPACE, &format!("deployment/{workload}")), &arguments)?.iter().map(answer).collect()
    }
}

impl Place for Shop<'_> {
    fn apply(&self, file: &str, yaml: &str) -> Result<()> {
        self.kube.kubectl_reads("apply --filename -", yaml)?;
        self.applied.borrow_mut().insert(file.to_owned(), yaml.to_owned());
        Ok(())
    }

    fn remove(&self, file: &str) -> Result<()> {
        let yaml = self.applied.borrow_mut().remove(file).with_context(|| format!("{file} was not applied"))?;
        self.kube.kubectl_reads("delete --filename -", &yaml).map(|_| ())
    }

    fn ask(&self, caller: Caller, ask: &Ask, times: usize) -> Result<Vec<Answer>> {
        let address = match &ask.callee {
            Callee::Service(role) => format!("{}:{PORT}", role.name()),
            Callee::Workload(name) => self.address_of(name)?.to_string(),
            Callee::Ingress(_) => self.ingress()?.to_string(),
        };
        let url = format!("http://{address}{}", ask.path);
        match caller {
            Caller::Client => self.ask_in("client", &url, ask, times),
            Caller::Stranger => self.ask_in("stranger", &url, ask, times),
            Caller::Outside => {
                let mut call = Call { method: ask.method.clone(), headers: ask.headers.clone(), ..Call::url(&url)? };
                if let Callee::Ingress(host) = &ask.callee {
                    call = call.host(host);
                }
                call.repeat_from_here(times).map_err(|error| Unanswered(error.root_cause().to_string()).into())
            }
        }
    }

    fn ask_grpc(&self, role: Role, times: usize) -> Result<Vec<(String, String)>> {
        let (times, url) = (times.to_string(), format!("http://{}:{GRPC_PORT}{}", role.name(), GrpcCall::VERSION));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let answers = self.kube.calls_from((NAMESPACE, "deployment/client"), &["--grpc", "--times", &times, &url])?;
        Ok(answers.iter().map(|answer| (text(&answer["message"]), text(&answer["status"]))).collect())
    }

    fn admin(&self, workload: &str, path: &str) -> Result<String> {
        let mut request = self.kube.exec(NAMESPACE, &format!("deployment/{workload}"), "istio-proxy");
        tools::output(request.stdin(Stdio::null()).args([
            "pilot-agent",
            "request",
            "GET",
            path.trim_start_matches('/'),
        ]))
    }

    fn tell(&self, workload: &str, method: Method, path: &str) -> Result<Answer> {
        let ask = Ask { method, ..Ask::workload(workload, path) };
        let url = format!("http://127.0.0.1:{PORT}{path}");
        self.ask_in(workload, &url, &ask, 1)?.pop().context("weft-call said nothing")
    }
}

fn answer(said: &Value) -> Result<Answer> {
    if let Some(reason) = said["unanswered"].as_str() {
        return Err(Unanswered(reason.to_owned()).into());
    }
    Ok(Answer {
        status: StatusCode::from_u16(said["status"].as_u64().unwrap_or_default().try_into()?)?,
        headers: http::HeaderMap::new(),
        body: said["text"].as_str().unwrap_or_default().to_owned().into(),
        took: Duration::from_micros(said["micros"].as_u64().unwrap_or_default()),
    })
}

fn deployments() -> Vec<String> {
    let versions = |(role, versions): &(Role, &[&str])| {
        versions.iter().map(|version| format!("{}-{version}", role.name())).collect::<Vec<_>>()
    };
    let clients = ["client", "stranger"].map(str::to_owned);
    SERVICES.iter().flat_map(versions).chain(clients).collect()
}

/// Everything but what steers it.
fn objects() -> Value {
    let mut items = vec![ingress()];
    for (role, versions) in SERVICES {
        let name = role.name();
        items.push(json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": NAMESPACE },
        }));
        items.push(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": {
                "selector": { "app": name },
                "ports": [{ "name": "http", "port": PORT }, { "name": "grpc", "port": GRPC_PORT }],
            },
        }));
        items.extend(versions.iter().map(|version| deployment(&format!("{name}-{version}"), name, version, true)));
    }
    items.push(deployment("client", "client", "v1", true));
    items.push(deployment("stranger", "stranger", "v1", false));
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

fn ingress() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": INGRESS.1, "namespace": INGRESS.0 },
        "spec": {
            "type": "LoadBalancer",
            "selector": { "istio": "ingress" },
            "ports": [{ "name": "http", "port": INGRESS_PORT }],
        },
    })
}

/// A workload: a service of the shop, or somebody who only calls and so may be any.
fn deployment(name: &str, app: &str, version: &str, injected: bool) -> Value {
    let serves = SERVICES.iter().any(|(role, _)| role.name() == app);
    let role = if serves { app } else { Role::Details.name() };
    let account = if serves { app } else { "default" };
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "selector": { "matchLabels": { "app": app, "version": version } },
            "template": {
                "metadata": {
                    "labels": {
                        "app": app, "version": version, "sidecar.istio.io/inject": injected.to_string(),
                    },
                },
                "spec": {
                    "serviceAccountName": account,
                    "containers": [{
                        "name": "app",
                        "image": "docker.io/weft/shop:0.1.0",
                        "args": [role, "--version", version, "--pod", name],
                    }],
                },
            },
        },
    })
}
