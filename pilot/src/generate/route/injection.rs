//! Injected faults.

use envoy_types::pb::envoy::extensions::filters::common::fault::v3::{FaultDelay, fault_delay::FaultDelaySecifier};
use envoy_types::pb::envoy::extensions::filters::http::fault::v3 as fault;
use envoy_types::pb::google::protobuf::Any;
use galley::api;

use crate::generate::wire::{any, duration, percent};

/// The settings of the fault filter for one route.
pub(super) fn injection(rule: &api::FaultInjection) -> Option<Any> {
    let share = |share: Option<&api::Percent>, whole: Option<u32>| {
        percent(share.map(|share| share.value).or(whole.map(f64::from)).unwrap_or(100.0))
    };
    let delay = rule.delay.as_ref().and_then(|delay| {
        Some(FaultDelay {
            percentage: Some(share(delay.percentage.as_ref(), delay.percent)),
            fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(duration(delay.fixed_delay?))),
        })
    });
    let abort = rule.abort.as_ref().and_then(|abort| {
        let kind = match (abort.http_status, abort.grpc_status.as_str()) {
            (Some(status), _) => fault::fault_abort::ErrorType::HttpStatus(status),
            (None, word) => fault::fault_abort::ErrorType::GrpcStatus(grpc_code(word)?),
        };
        let percentage = Some(share(abort.percentage.as_ref(), None));
        Some(fault::FaultAbort { percentage, error_type: Some(kind), ..Default::default() })
    });
    if delay.is_none() && abort.is_none() {
        return None;
    }
    let message = fault::HttpFault { delay, abort, ..Default::default() };
    Some(any("envoy.extensions.filters.http.fault.v3.HTTPFault", &message))
}

/// gRPC's codes by name, or as a number.
fn grpc_code(word: &str) -> Option<u32> {
    const WORDS: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let by_name = WORDS.iter().position(|one| *one == word).and_then(|at| u32::try_from(at).ok());
    by_name.or_else(|| word.parse().ok().filter(|code| *code <= 16))
}
