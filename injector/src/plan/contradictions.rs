//! Wishes that are each understood and still cannot be had.

use std::collections::HashSet;

use serde_json::Value;

use crate::annotations::Asks;
use crate::decide::INJECT;
use crate::pod::Pod;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::template::Template;

/// # Errors
/// With every wish that cannot be had.
pub(super) fn check(settings: &Settings, asks: &Asks, template: Template, pod: &Pod) -> Result<(), Refusal> {
    let native = "annotation sidecar.istio.io/nativeSidecar";
    let mut refusal = Refusal::default();
    if pod.spec().get("os").and_then(|os| os.get("name")).and_then(Value::as_str) == Some("windows") {
        refusal.add(format!("spec.os.name: the proxy does not run on Windows; set the label {INJECT}: \"false\""));
    }
    if asks.native == Some(true) && !settings.facts.can_be_native() {
        refusal.add(format!(
            "{native}: a node of this cluster is older than Kubernetes 1.29, which runs no native sidecars"
        ));
    }
    if template == Template::Gateway {
        if asks.native == Some(true) {
            refusal.add(format!("{native}: a gateway has no application beside which to be one"));
        }
        for name in pod.annotations.keys().filter(|name| redirects(name)) {
            refusal.add(format!("annotation {name}: the traffic of a gateway is not redirected"));
        }
    }
    if let Some(problem) = included_and_excluded(settings, asks) {
        refusal.add(problem);
    }
    refusal.into_result()
}

fn redirects(annotation: &str) -> bool {
    annotation.starts_with("traffic.sidecar.istio.io/") || annotation == "istio.io/reroute-virtual-interfaces"
}

/// Beside a list of inbound ports nothing is excluded: the rules redirect what is listed.
fn included_and_excluded(settings: &Settings, asks: &Asks) -> Option<String> {
    let values = &settings.values.global.proxy;
    let included = asks.capture.include_inbound_ports.as_ref().unwrap_or(&values.include_inbound_ports);
    let (excluded, place) = match &asks.capture.exclude_inbound_ports {
        Some(ports) => (ports, "annotation traffic.sidecar.istio.io/excludeInboundPorts"),
        None => (&values.exclude_inbound_ports, "values: global.proxy.excludeInboundPorts"),
    };
    let included: HashSet<&str> = included.split(',').map(str::trim).filter(|port| !port.is_empty()).collect();
    let port = excluded.split(',').map(str::trim).find(|port| included.contains(port))?;
    Some(format!("{place}: {port} is among the included inbound ports too; leave it out of one of the lists"))
}
