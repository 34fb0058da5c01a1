//! Metrics of application and proxy on one port: Prometheus is sent to the proxy, and the proxy is told where the
//! application's metrics are.

use serde_json::{Value, json};

use crate::annotations::read;
use crate::json::{self, Object};
use crate::plan::Plan;
use crate::pod::Pod;

/// Annotations by which Prometheus finds a pod; their prefix, and what may follow.
const PREFIX: &str = "prometheus.io/";
const FIELDS: &[&str] = &["scrape", "port", "path", "scheme"];
/// The variable by which the proxy knows where the application's metrics are.
const VARIABLE: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";
/// Where the proxy serves the merged metrics.
const MERGED_PATH: &str = "/stats/prometheus";

/// Sends Prometheus to the proxy, unless the pod wants none of it.
///
/// # Errors
/// If the application's annotations cannot be understood.
pub(crate) fn merge(plan: &Plan<'_>, pod: &mut Pod, proxy: &mut Object) -> Result<(), String> {
    if !plan.asks.merge_metrics.unwrap_or(plan.settings.prometheus_merge) {
        return Ok(());
    }
    let said = |field: &str| pod.annotations.get(&format!("{PREFIX}{field}"));
    if said("scrape").is_some_and(|scrape| matches!(scrape.as_str(), "false" | "0" | "f" | "F" | "False" | "FALSE")) {
        return Ok(());
    }
    if let Some(port) = said("port") {
        read::port(port).map_err(|problem| format!("annotation {PREFIX}port: {problem}"))?;
    }
    let application: Object =
        FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), said(field)?.as_str().into()))).collect();
    let status_port = plan.config.status_port();
    // Annotations of an injection without its status: Prometheus is sent to the proxy already.
    let is_merged = json::text(&application, "port") == Some(&status_port.to_string());
    if !application.is_empty() && !is_merged {
        let value = json::unexpanded(&Value::Object(application));
        json::list_in(proxy, "env").push(json!({ "name": VARIABLE, "value": value }));
    }
    pod.annotations.remove(&format!("{PREFIX}scheme"));
    for (field, value) in merged(status_port) {
        pod.annotations.insert(format!("{PREFIX}{field}"), value);
    }
    Ok(())
}

fn merged(status_port: u16) -> [(&'static str, String); 3] {
    [("scrape", "true".to_owned()), ("port", status_port.to_string()), ("path", MERGED_PATH.to_owned())]
}

/// Gives the pod back the annotations that it had before an injection.
pub(crate) fn undo(pod: &mut Pod, proxy: &Object) {
    let of_pod = |field: &str| pod.annotations.get(&format!("{PREFIX}{field}")).map(String::as_str);
    if of_pod("path") != Some(MERGED_PATH) {
        return;
    }
    let variable = json::objects(proxy, "env").find(|variable| json::text(variable, "name") == Some(VARIABLE));
    let application: Option<Object> =
        variable.and_then(|variable| serde_json::from_str(json::text(variable, "value")?).ok());
    FIELDS.iter().for_each(|field| drop(pod.annotations.remove(&format!("{PREFIX}{field}"))));
    for (field, value) in application.unwrap_or_default() {
        if let (true, Value::String(value)) = (FIELDS.contains(&field.as_str()), value) {
            pod.annotations.insert(format!("{PREFIX}{field}"), value);
        }
    }
}
