//! What a cluster bears: its limits, and when an endpoint of it is ejected.

use envoy_types::pb::envoy::config::cluster::v3 as cds;
use envoy_types::pb::envoy::r#type::v3::Percent;
use galley::api;

use crate::generate::policy::Policy;
use crate::generate::wire::{duration, number};

/// The limits of a policy.
pub(super) fn of(policy: &Policy) -> cds::CircuitBreakers {
    let pool = policy.connection_pool.as_ref();
    let (tcp, http) = (pool.and_then(|pool| pool.tcp.as_ref()), pool.and_then(|pool| pool.http.as_ref()));
    let limit = |value: Option<u32>| Some(number(value.filter(|value| *value > 0).unwrap_or(u32::MAX)));
    let budget = policy.retry_budget.as_ref().map(|budget| cds::circuit_breakers::thresholds::RetryBudget {
        budget_percent: budget.percent.as_ref().map(|percent| Percent { value: percent.value }),
        min_retry_concurrency: budget.min_retry_concurrency.map(number),
        ..Default::default()
    });
    let thresholds = cds::circuit_breakers::Thresholds {
        max_connections: limit(tcp.and_then(|tcp| tcp.max_connections)),
        max_pending_requests: limit(http.and_then(|http| http.http1_max_pending_requests)),
        max_requests: limit(http.and_then(|http| http.http2_max_requests)),
        max_retries: limit(http.and_then(|http| http.max_retries)),
        retry_budget: budget,
        ..Default::default()
    };
    cds::CircuitBreakers { thresholds: vec![thresholds], ..Default::default() }
}

/// Of a cluster that nobody limits: Envoy's own limits are lower.
pub(super) fn none() -> cds::CircuitBreakers {
    let most = Some(number(u32::MAX));
    let thresholds = cds::circuit_breakers::Thresholds {
        max_connections: most,
        max_pending_requests: most,
        max_requests: most,
        max_retries: most,
        ..Default::default()
    };
    cds::CircuitBreakers { thresholds: vec![thresholds], ..Default::default() }
}

/// What Istio's rule says, with what it leaves to Envoy switched off: success rates, and limits on gateway errors unless
/// they are asked for.
pub(super) fn ejection(rule: &api::OutlierDetection) -> cds::OutlierDetection {
    let five_xx = rule.consecutive_5xx_errors.or(rule.consecutive_errors);
    let enforced = |on: bool| Some(number(if on { 100 } else { 0 }));
    cds::OutlierDetection {
        consecutive_5xx: five_xx.map(number),
        enforcing_consecutive_5xx: enforced(five_xx != Some(0)),
        consecutive_gateway_failure: rule.consecutive_gateway_errors.map(number),
        enforcing_consecutive_gateway_failure: enforced(rule.consecutive_gateway_errors.is_some_and(|count| count > 0)),
        consecutive_local_origin_failure: rule.consecutive_local_origin_failures.map(number),
        split_external_local_origin_errors: rule.split_external_local_origin_errors,
        interval: rule.interval.map(duration),
        base_ejection_time: rule.base_ejection_time.map(duration),
        max_ejection_percent: rule.max_ejection_percent.map(number),
        enforcing_success_rate: Some(number(0)),
        ..Default::default()
    }
}
