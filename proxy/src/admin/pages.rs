//! The pages.

use std::fmt::Write;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Query, State as Extract};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};

use super::{State, dump};
use crate::model::EndpointHealth;

/// 200 once everything needed is there, and until the drain begins; else 503 with what is missing.
pub(super) async fn ready(Extract(state): Extract<State>) -> Response {
    if state.drain.has_begun() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    let missing = state.readiness.waiting_for();
    if missing.is_empty() {
        return "LIVE\n".into_response();
    }
    let error = state.config.status().last_error.map(|error| format!(" ({error})")).unwrap_or_default();
    (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}{error}\n", missing.join(", "))).into_response()
}

/// Ours and the application's. What of the application's cannot be read is said in the log, and ours are told all the same.
pub(super) async fn all_metrics(Extract(state): Extract<State>) -> Response {
    let mut text = state.registry.render();
    match state.application.metrics().await {
        Ok(Some(more)) => text.push_str(&more),
        Ok(None) => {}
        Err(error) => tracing::warn!("the application's metrics: {error:#}"),
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// The application's probes and hooks, under the paths to which the injector moved them.
pub(super) async fn application(Extract(state): Extract<State>, uri: Uri) -> Response {
    match state.application.probe(uri.path()).await {
        Some(answer) => answer.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(super) async fn metrics(Extract(state): Extract<State>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], state.registry.render()).into_response()
}

/// Everything in force, where Envoy has it, and what was refused; keys never.
pub(super) async fn config_dump(Extract(state): Extract<State>, Query(asked): Query<dump::Asked>) -> Response {
    let (snapshot, node) = (state.config.current(), state.node.clone());
    // Aside, since it may take long, and probes are answered by the same thread.
    let told = tokio::task::spawn_blocking(move || asked.of(dump::configs(&snapshot, &node))).await;
    let configs = match told {
        Ok(Ok(configs)) => configs,
        Ok(Err(refusal)) => return refusal.into_response(),
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    };
    let status = state.config.status();
    let refused: Vec<_> = status
        .refused
        .iter()
        .map(|refusal| json!({"kind": refusal.kind, "name": *refusal.name, "reason": *refusal.reason, "older_in_force": refusal.older_in_force}))
        .collect();
    let weft = json!({"connected": status.connected, "refused": refused});
    Json(json!({"configs": configs, "weft": weft})).into_response()
}

/// Envoy's text, a line an endpoint and fact, or with `format=json` its messages.
pub(super) async fn clusters(Extract(state): Extract<State>, uri: Uri) -> Response {
    let snapshot = state.config.current();
    let mut asked = uri.query().unwrap_or_default().split('&');
    if asked.any(|asked| asked == "format=json") {
        return Json(dump::cluster_statuses(&snapshot)).into_response();
    }
    let mut text = String::new();
    let mut names: Vec<_> = snapshot.clusters.keys().collect();
    names.sort();
    for name in names {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}::observability_name::{name}");
        let localities = snapshot.endpoints.get(name).map(|set| set.localities.as_slice()).unwrap_or_default();
        for locality in localities {
            for endpoint in &locality.endpoints {
                let line = format!("{name}::{}", endpoint.address);
                let flags = match endpoint.health {
                    EndpointHealth::Healthy => "healthy",
                    EndpointHealth::Draining | EndpointHealth::Unhealthy => "/failed_eds_health",
                };
                let _ = writeln!(text, "{line}::health_flags::{flags}");
                let _ = writeln!(text, "{line}::weight::{}", endpoint.weight);
                let _ = writeln!(text, "{line}::priority::{}", locality.priority);
            }
        }
    }
    text.into_response()
}

pub(super) async fn listeners(Extract(state): Extract<State>) -> String {
    let snapshot = state.config.current();
    let mut lines: Vec<String> = snapshot
        .listeners
        .values()
        .map(|one| {
            format!("{}::{}\n", one.name, one.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        })
        .collect();
    lines.sort();
    lines.concat()
}

pub(super) async fn server_info(Extract(state): Extract<State>) -> Json<Value> {
    let live = state.readiness.is_ready() && !state.drain.has_begun();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": if state.drain.has_begun() { "DRAINING" } else if live { "LIVE" } else { "PRE_INITIALIZING" },
        "node": {"id": state.node.id.to_string(), "cluster": *state.node.cluster},
    }))
}

/// The log's levels, changed first as Envoy's page is asked: `level=debug` for all, `<scope>=debug` for one, and
/// `paths=<scope>:debug,…` for several.
pub(super) async fn logging(uri: Uri) -> Response {
    let asked = uri.query().unwrap_or_default().split('&').filter_map(|asked| asked.split_once('='));
    let flags: Vec<String> = asked
        .map(|(scope, level)| match scope {
            "level" | "paths" => level.to_owned(),
            scope => format!("{scope}:{level}"),
        })
        .collect();
    let mut refused = None;
    let levels = mesh_runtime::logging::change(|levels| refused = levels.overlay(&flags.join(",")).err());
    if let Some(error) = refused {
        return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response();
    }
    let lines = levels.iter().map(|(scope, level)| format!("  {scope}: {level}\n"));
    format!("active loggers:\n{}", lines.collect::<String>()).into_response()
}

/// The same, for the pod's own processes alone.
pub(super) async fn quit_if_local(peer: ConnectInfo<SocketAddr>) -> Response {
    if is_local(&peer) { quit().await.into_response() } else { StatusCode::FORBIDDEN.into_response() }
}

/// Callers are told to go elsewhere while the application still works (`pilot-agent request POST drain`).
pub(super) async fn drain_if_local(Extract(state): Extract<State>, peer: ConnectInfo<SocketAddr>) -> Response {
    if !is_local(&peer) {
        return StatusCode::FORBIDDEN.into_response();
    }
    state.trigger.begin();
    "draining\n".into_response()
}

fn is_local(ConnectInfo(peer): &ConnectInfo<SocketAddr>) -> bool {
    peer.ip().to_canonical().is_loopback()
}

/// Ends the process as SIGTERM does.
pub(super) async fn quit() -> &'static str {
    match nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM) {
        Ok(()) => "OK\n",
        Err(_) => "cannot signal\n",
    }
}
