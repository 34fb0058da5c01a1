//! Probes and hooks of the application, sent through the proxy. The kubelet has no certificate of the mesh: it asks the
//! proxy in plain text, and the proxy asks the application from inside the pod.

use serde_json::{Value, json};

use crate::json::{self, Object};
use crate::plan::{PROXY, Plan};
use crate::pod::{self, Pod};
use crate::refusal::Refusal;

/// The variable by which the proxy knows what it asks for the kubelet.
const VARIABLE: &str = "ISTIO_KUBE_APP_PROBERS";
/// Kubernetes' default.
const TIMEOUT: u64 = 1;

/// Where a container says what is asked, and the last part of the path under which the proxy answers.
const PROBES: &[(&str, &str)] =
    &[("livenessProbe", "livez"), ("readinessProbe", "readyz"), ("startupProbe", "startupz")];
const HOOKS: &[(&str, &str)] = &[("postStart", "poststartz"), ("preStop", "prestopz")];

/// Rewrites the probes and hooks of every container, and tells the proxy.
pub(crate) fn rewrite(plan: &Plan<'_>, pod: &mut Pod, proxy: &mut Object, refusal: &mut Refusal) {
    let by_default = plan.settings.values.sidecar_injector_webhook.rewrite_app_http_probe;
    if !plan.asks.rewrite_probes.unwrap_or(by_default) {
        return;
    }
    let status_port = plan.config.status_port();
    let mut known = Object::new();
    for container in pod.running_mut().filter(|container| pod::name(container) != PROXY) {
        let name = pod::name(container).to_owned();
        let ports = named_ports(container);
        for (place, path, timeout) in handlers(container, &name) {
            match Asked::read(place, &ports, status_port) {
                Ok(None) => {}
                Ok(Some(asked)) => {
                    asked.redirect(place, &path, status_port);
                    known.insert(path, asked.for_proxy(timeout));
                }
                Err(problem) => refusal.add(format!("container {name}: the probe or hook at {path}: {problem}")),
            }
        }
    }
    if !known.is_empty() {
        let value = json::unexpanded(&Value::Object(known));
        json::list_in(proxy, "env").push(json!({ "name": VARIABLE, "value": value }));
    }
}

/// Gives probes and hooks back what they were before an injection.
pub(crate) fn undo(pod: &mut Pod, proxy: &Object) {
    let variable = json::objects(proxy, "env").find(|variable| json::text(variable, "name") == Some(VARIABLE));
    let known: Option<Object> = variable.and_then(|variable| serde_json::from_str(json::text(variable, "value")?).ok());
    let Some(known) = known else { return };
    for container in pod.running_mut().filter(|container| pod::name(container) != PROXY) {
        let name = pod::name(container).to_owned();
        for (place, path, _) in handlers(container, &name) {
            let redirected = place.get("httpGet").is_some_and(|get| get["path"] == path.as_str());
            let Some(Value::Object(before)) = known.get(&path).filter(|_| redirected) else { continue };
            place.remove("httpGet");
            let handlers = KINDS.iter().filter_map(|kind| Some(((*kind).to_owned(), before.get(*kind)?.clone())));
            place.extend(handlers);
        }
    }
}

/// A probe or a hook: where it is, its path at the proxy, and its timeout if it has one.
type Handler<'a> = (&'a mut Object, String, Option<u64>);

/// Every probe and hook of a container.
fn handlers<'a>(container: &'a mut Object, name: &str) -> Vec<Handler<'a>> {
    let fields = container.iter_mut().filter_map(|(field, value)| Some((field.as_str(), value.as_object_mut()?)));
    let found = fields.flat_map(|(field, place)| match PROBES.iter().find(|(probe, _)| *probe == field) {
        Some((_, end)) => {
            let timeout = place.get("timeoutSeconds").and_then(Value::as_u64).filter(|timeout| *timeout > 0);
            vec![(place, format!("/app-health/{name}/{end}"), Some(timeout.unwrap_or(TIMEOUT)))]
        }
        None if field == "lifecycle" => hooks(place, name),
        None => Vec::new(),
    });
    found.collect()
}

fn hooks<'a>(lifecycle: &'a mut Object, name: &str) -> Vec<Handler<'a>> {
    let hooks = lifecycle.iter_mut().filter_map(|(hook, place)| {
        let (_, end) = HOOKS.iter().find(|(known, _)| known == hook)?;
        Some((place.as_object_mut()?, format!("/app-lifecycle/{name}/{end}"), None))
    });
    hooks.collect()
}

/// What is asked over the network. Commands and waiting need no proxy.
const KINDS: &[&str] = &["httpGet", "tcpSocket", "grpc"];

/// One question to the application.
struct Asked {
    kind: &'static str,
    handler: Object,
}

impl Asked {
    /// The question, with its port as a number; `None` if it goes past the proxy, or through it already.
    fn read(place: &Object, ports: &Object, status_port: u16) -> Result<Option<Self>, String> {
        let asked = KINDS.iter().find_map(|kind| Some((*kind, place.get(*kind)?.as_object()?)));
        let Some((kind, handler)) = asked else { return Ok(None) };
        // Somebody else's address: the kubelet goes there itself, whatever is redirected here.
        if json::text(handler, "host").is_some_and(|host| !host.is_empty()) {
            return Ok(None);
        }
        let port = match handler.get("port") {
            Some(Value::Number(port)) => Value::Number(port.clone()),
            Some(Value::String(name)) => match (ports.get(name), name.parse::<u16>()) {
                (Some(port), _) => port.clone(),
                (None, Ok(port)) => port.into(),
                (None, Err(_)) => return Err(format!("{name:?} is none of the container's ports")),
            },
            _ => return Err("has no port".to_owned()),
        };
        if port.as_u64() == Some(status_port.into()) {
            return Ok(None);
        }
        let mut handler = handler.clone();
        handler.insert("port".to_owned(), port);
        Ok(Some(Self { kind, handler }))
    }

    /// Makes the kubelet ask the proxy instead, in plain HTTP, with the same header fields.
    fn redirect(&self, place: &mut Object, path: &str, status_port: u16) {
        place.remove(self.kind);
        let mut get = json::object(json!({ "path": path, "port": status_port, "scheme": "HTTP" }));
        if let Some(fields) = self.handler.get("httpHeaders") {
            get.insert("httpHeaders".to_owned(), fields.clone());
        }
        place.insert("httpGet".to_owned(), get.into());
    }

    /// As the proxy reads it.
    fn for_proxy(self, timeout: Option<u64>) -> Value {
        let mut asked = Object::from_iter([(self.kind.to_owned(), self.handler.into())]);
        if let Some(timeout) = timeout {
            asked.insert("timeoutSeconds".to_owned(), timeout.into());
        }
        asked.into()
    }
}

/// Ports of a container by name.
fn named_ports(container: &Object) -> Object {
    let ports = json::objects(container, "ports");
    ports.filter_map(|port| Some((json::text(port, "name")?.to_owned(), port.get("containerPort")?.clone()))).collect()
}
