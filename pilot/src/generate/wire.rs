//! Small messages of Envoy's API.

use std::net::SocketAddr;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::google::protobuf as pb;
use galley::api;
use prost::Message;

use crate::ordered::{Shape, ordered};

pub(super) fn any(type_name: &str, message: &impl Message) -> pb::Any {
    pb::Any { type_url: format!("type.googleapis.com/{type_name}"), value: message.encode_to_vec() }
}

/// The same, of a message that has maps.
pub(super) fn ordered_any(type_name: &str, message: &impl Message, shape: &Shape) -> pb::Any {
    let any = any(type_name, message);
    pb::Any { value: ordered(&any.value, shape), ..any }
}

pub(super) fn address(address: SocketAddr) -> core::Address {
    host_address(&address.ip().to_string(), address.port())
}

pub(super) fn host_address(host: &str, port: u16) -> core::Address {
    let socket = core::SocketAddress {
        address: host.to_owned(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(u32::from(port))),
        ..Default::default()
    };
    core::Address { address: Some(core::address::Address::SocketAddress(socket)) }
}

pub(super) fn number(value: u32) -> pb::UInt32Value {
    pb::UInt32Value { value }
}

pub(super) fn flag(value: bool) -> pb::BoolValue {
    pb::BoolValue { value }
}

pub(super) fn duration(duration: Duration) -> pb::Duration {
    // Never longer than what the field can hold: configuration has years at most.
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    pb::Duration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default() }
}

/// This stream.
pub(super) fn ads() -> core::ConfigSource {
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(core::AggregatedConfigSource::default())),
        ..Default::default()
    }
}

pub(super) fn string_match(test: &api::StringMatch, ignore_case: bool) -> matcher::StringMatcher {
    let pattern = match test {
        api::StringMatch::Exact(text) => MatchPattern::Exact(text.clone()),
        api::StringMatch::Prefix(text) => MatchPattern::Prefix(text.clone()),
        api::StringMatch::Regex(pattern) => MatchPattern::SafeRegex(regex(pattern)),
        // A test that asks only for presence never comes here.
        _ => MatchPattern::SafeRegex(regex(".*")),
    };
    matcher::StringMatcher { match_pattern: Some(pattern), ignore_case }
}

pub(super) fn exact(text: &str) -> matcher::StringMatcher {
    matcher::StringMatcher { match_pattern: Some(MatchPattern::Exact(text.to_owned())), ignore_case: false }
}

/// `*`, `prefix*`, `*suffix` or exact, as Istio's policies write values.
pub(super) fn wildcard(text: &str) -> matcher::StringMatcher {
    let pattern = match (text, text.strip_suffix('*'), text.strip_prefix('*')) {
        ("*", ..) => MatchPattern::SafeRegex(regex(".+")),
        (_, Some(prefix), _) => MatchPattern::Prefix(prefix.to_owned()),
        (_, _, Some(suffix)) => MatchPattern::Suffix(suffix.to_owned()),
        _ => MatchPattern::Exact(text.to_owned()),
    };
    matcher::StringMatcher { match_pattern: Some(pattern), ignore_case: false }
}

pub(super) fn regex(pattern: &str) -> matcher::RegexMatcher {
    matcher::RegexMatcher { regex: pattern.to_owned(), ..Default::default() }
}

/// A percentage to four digits behind the point.
pub(super) fn percent(value: f64) -> FractionalPercent {
    let millionths = (value.clamp(0.0, 100.0) * 10_000.0).round() as u32;
    FractionalPercent { numerator: millionths, denominator: DenominatorType::Million as i32 }
}

pub(super) fn text(value: &str) -> pb::Value {
    pb::Value { kind: Some(pb::value::Kind::StringValue(value.to_owned())) }
}

pub(super) fn structure<const N: usize>(fields: [(&str, pb::Value); N]) -> pb::Struct {
    pb::Struct { fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }
}

/// Metadata under one filter's name.
pub(super) fn metadata(filter: &str, fields: pb::Struct) -> core::Metadata {
    core::Metadata { filter_metadata: [(filter.to_owned(), fields)].into(), ..Default::default() }
}

/// The object that a resource comes from, as Istio tells it.
pub(super) fn config_of(kind: &str, meta: &galley::Meta) -> String {
    format!("/apis/networking.istio.io/v1/namespaces/{}/{kind}/{}", meta.namespace, meta.name)
}
