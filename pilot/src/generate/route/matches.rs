//! Conditions on requests.

use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use galley::api;

use crate::generate::wire::{flag, regex, string_match};

pub(in crate::generate) fn prefix(path: &str) -> rds::RouteMatch {
    rds::RouteMatch { path_specifier: Some(PathSpecifier::Prefix(path.to_owned())), ..Default::default() }
}

/// True if the whole path was matched, not a beginning of it.
pub(super) fn is_whole(one: Option<&api::HttpMatch>) -> bool {
    matches!(one.and_then(|one| one.uri.as_ref()), Some(api::StringMatch::Exact(_) | api::StringMatch::Regex(_)))
}

/// A condition as Envoy has it.
pub(super) fn http_match(one: &api::HttpMatch) -> rds::RouteMatch {
    let path = match &one.uri {
        Some(api::StringMatch::Exact(text)) => PathSpecifier::Path(text.clone()),
        Some(api::StringMatch::Prefix(text)) => PathSpecifier::Prefix(text.clone()),
        Some(api::StringMatch::Regex(pattern)) => PathSpecifier::SafeRegex(regex(pattern)),
        _ => PathSpecifier::Prefix("/".to_owned()),
    };
    let pseudo = [(":method", &one.method), (":authority", &one.authority), (":scheme", &one.scheme)];
    let pseudo = pseudo.into_iter().filter_map(|(name, test)| Some(field(name, test.as_ref()?, false)));
    let with = one.headers.iter().map(|(name, test)| field(name, test, false));
    let without = one.without_headers.iter().map(|(name, test)| field(name, test, true));
    let query = one.query_params.iter().map(|(name, test)| rds::QueryParameterMatcher {
        name: name.clone(),
        query_parameter_match_specifier: Some(if is_presence(test) {
            rds::query_parameter_matcher::QueryParameterMatchSpecifier::PresentMatch(true)
        } else {
            rds::query_parameter_matcher::QueryParameterMatchSpecifier::StringMatch(string_match(test, false))
        }),
    });
    rds::RouteMatch {
        path_specifier: Some(path),
        case_sensitive: one.ignore_uri_case.then(|| flag(false)),
        headers: pseudo.chain(with).chain(without).collect(),
        query_parameters: query.collect(),
        ..Default::default()
    }
}

fn is_presence(test: &api::StringMatch) -> bool {
    match test {
        api::StringMatch::Exact(_) => false,
        api::StringMatch::Prefix(text) => text.is_empty(),
        api::StringMatch::Regex(pattern) => pattern == "*" || pattern == ".*",
        _ => true,
    }
}

fn field(name: &str, test: &api::StringMatch, invert: bool) -> rds::HeaderMatcher {
    let specifier = if is_presence(test) {
        HeaderMatchSpecifier::PresentMatch(true)
    } else {
        HeaderMatchSpecifier::StringMatch(string_match(test, false))
    };
    rds::HeaderMatcher {
        name: name.to_owned(),
        invert_match: invert,
        treat_missing_header_as_empty: invert && !is_presence(test),
        header_match_specifier: Some(specifier),
    }
}
