//! Cross-origin rules.

use envoy_types::pb::envoy::extensions::filters::http::cors::v3::CorsPolicy;
use envoy_types::pb::google::protobuf::Any;
use galley::api;

use crate::generate::wire::{any, flag, string_match};

/// The settings of the CORS filter for one route.
pub(super) fn cors(policy: &api::CorsPolicy) -> Any {
    let exact = policy.allow_origin.iter().map(|origin| match origin.as_str() {
        "*" => api::StringMatch::Regex(".*".to_owned()),
        origin => api::StringMatch::Exact(origin.to_owned()),
    });
    let origins = exact.chain(policy.allow_origins.iter().cloned());
    let message = CorsPolicy {
        allow_origin_string_match: origins.map(|origin| string_match(&origin, false)).collect(),
        allow_methods: policy.allow_methods.join(","),
        allow_headers: policy.allow_headers.join(","),
        expose_headers: policy.expose_headers.join(","),
        max_age: policy.max_age.map(|age| age.as_secs().to_string()).unwrap_or_default(),
        allow_credentials: policy.allow_credentials.map(flag),
        forward_not_matching_preflights: Some(flag(policy.unmatched_preflights != api::UnmatchedPreflights::Ignore)),
        ..Default::default()
    };
    any("envoy.extensions.filters.http.cors.v3.CorsPolicy", &message)
}
