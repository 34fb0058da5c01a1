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
        let kind = match abort.http_status {
            Some(status) => fault::fault_abort::ErrorType::HttpStatus(status),
            None => fault::fault_abort::ErrorType::GrpcStatus(abort.grpc_code()?),
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
