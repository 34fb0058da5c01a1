//! `/stats`, with Envoy's names: of its statistics those of circuit breakers, where a cluster has limits. All else that is
//! counted are Istio's metrics, in Prometheus' form.

use std::fmt::Write;

use axum::extract::{Query, State as Extract};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use regex::Regex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::State;
use crate::model::{CircuitBreakers, Snapshot};
use crate::upstream::{Shared, Usage, What};

/// What can be asked for, as of Envoy.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// A regular expression that names are to match somewhere.
    filter: Option<String>,
    #[serde(default)]
    format: Format,
    /// Only what is not 0.
    usedonly: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Text,
    Json,
    Prometheus,
}

/// The statistics, sorted by name.
pub(super) async fn page(Extract(state): Extract<State>, Query(asked): Query<Asked>) -> Response {
    let filter = match asked.filter.as_deref().map(Regex::new).transpose() {
        Ok(filter) => filter,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("filter: {error}\n")).into_response(),
    };
    if let Format::Prometheus = asked.format {
        return ([(CONTENT_TYPE, "text/plain; version=0.0.4")], state.registry.render()).into_response();
    }
    let mut all = breakers(&state.config.current(), &state.upstreams);
    all.retain(|(name, value)| {
        filter.as_ref().is_none_or(|filter| filter.is_match(name)) && (asked.usedonly.is_none() || *value != 0)
    });
    if let Format::Json = asked.format {
        let stats: Vec<_> = all.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        return Json(json!({ "stats": stats })).into_response();
    }
    let mut text = String::new();
    for (name, value) in all {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    text.into_response()
}

/// What limits let through and what they did not, of the clusters that have been called.
fn breakers(snapshot: &Snapshot, upstreams: &Shared) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for cluster in snapshot.clusters.values() {
        if let Some(usage) = upstreams.usage_of(&cluster.name) {
            let stats = of(&usage, &cluster.breakers).into_iter();
            all.extend(stats.map(|(name, value)| (format!("cluster.{}.{name}", cluster.name), value)));
        }
    }
    all.sort();
    all
}

/// Of each limit that is set: what has none is not counted.
fn of(usage: &Usage, limits: &CircuitBreakers) -> Vec<(&'static str, u64)> {
    let is_set = |limit: u32| limit != u32::MAX;
    let full = |what, limit| u64::from(usage.now(what) >= limit);
    let now = |what| u64::from(usage.now(what));
    let mut told = Vec::new();
    if is_set(limits.max_connections) {
        told.push(("circuit_breakers.default.cx_open", full(What::Connection, limits.max_connections)));
        told.push(("upstream_cx_active", now(What::Connection)));
        told.push(("upstream_cx_overflow", usage.overflowed(What::Connection)));
    }
    if is_set(limits.max_pending) {
        told.push(("circuit_breakers.default.rq_pending_open", full(What::Pending, limits.max_pending)));
        told.push(("upstream_rq_pending_active", now(What::Pending)));
    }
    if is_set(limits.max_requests) {
        told.push(("circuit_breakers.default.rq_open", full(What::Request, limits.max_requests)));
        told.push(("upstream_rq_active", now(What::Request)));
    }
    if is_set(limits.max_pending) || is_set(limits.max_requests) {
        // Envoy counts a request too many as one that could not wait.
        let overflowed = usage.overflowed(What::Pending) + usage.overflowed(What::Request);
        told.push(("upstream_rq_pending_overflow", overflowed));
    }
    if is_set(limits.max_retries) {
        told.push(("circuit_breakers.default.rq_retry_open", full(What::Retry, limits.max_retries)));
        told.push(("upstream_rq_retry_overflow", usage.overflowed(What::Retry)));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Breakers;
    use std::sync::Arc;

    #[test]
    fn limits_that_are_set_are_told_of() {
        let limits = CircuitBreakers {
            max_connections: u32::MAX,
            max_pending: u32::MAX,
            max_requests: 1,
            max_retries: u32::MAX,
            retry_budget: None,
        };
        let usage = Arc::<Usage>::default();
        let breakers = Breakers::new(usage.clone(), limits);
        let first = breakers.try_request().unwrap();
        assert!(breakers.try_request().is_none() && breakers.try_pending().is_some());
        let told = |open, active| {
            vec![
                ("circuit_breakers.default.rq_open", open),
                ("upstream_rq_active", active),
                ("upstream_rq_pending_overflow", 1),
            ]
        };
        assert_eq!(of(&usage, &limits), told(1, 1));
        drop(first);
        assert_eq!(of(&usage, &limits), told(0, 0));
    }
}
