//! Matchers.

use std::mem::take;

use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy_types::pb::envoy::r#type::matcher::v3 as types;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;

use super::{At, Invalid, Result, nothing_else, required, whole};
use crate::model::{FieldMatch, FieldTest, QueryMatch, StringMatch};

/// A test of a string.
pub(super) fn string_match(mut message: types::StringMatcher) -> Result<StringMatch> {
    let ignore_case = take(&mut message.ignore_case);
    let pattern = required(take(&mut message.match_pattern), "match_pattern")?;
    nothing_else(&message)?;
    let bytes = |text: String| -> Box<[u8]> {
        if ignore_case { text.to_ascii_lowercase().into_bytes().into() } else { text.into_bytes().into() }
    };
    Ok(match pattern {
        MatchPattern::Exact(text) => StringMatch::Exact { text: bytes(text), ignore_case },
        MatchPattern::Prefix(text) => StringMatch::Prefix { text: bytes(text), ignore_case },
        MatchPattern::Suffix(text) => StringMatch::Suffix { text: bytes(text), ignore_case },
        MatchPattern::Contains(text) => StringMatch::Contains { text: bytes(text), ignore_case },
        MatchPattern::SafeRegex(pattern) => regex_match(&pattern.regex).at("safe_regex")?,
        MatchPattern::Custom(_) => return Err(Invalid::new("is not supported")).at("custom"),
    })
}

/// `.+` and `.*` are asked so often that they are not left to the regex engine.
fn regex_match(pattern: &str) -> Result<StringMatch> {
    if pattern == ".*" { Ok(StringMatch::Present) } else { whole(pattern).map(StringMatch::Regex) }
}

/// A test of a header field.
pub(super) fn field_match(mut message: rds::HeaderMatcher) -> Result<FieldMatch> {
    let name = take(&mut message.name).to_ascii_lowercase();
    let invert = take(&mut message.invert_match);
    let missing_is_empty = take(&mut message.treat_missing_header_as_empty);
    let test = match take(&mut message.header_match_specifier) {
        None => FieldTest::Present(true),
        Some(HeaderMatchSpecifier::PresentMatch(present)) => FieldTest::Present(present),
        Some(HeaderMatchSpecifier::StringMatch(test)) => FieldTest::Value(string_match(test).at("string_match")?),
        Some(HeaderMatchSpecifier::RangeMatch(range)) => FieldTest::Range(range.start, range.end),
        Some(_) => return Err(Invalid::new("deprecated tests are not supported; use string_match")),
    };
    nothing_else(&message)?;
    Ok(FieldMatch { name: name.into(), test, invert, missing_is_empty })
}

/// A test of a query parameter.
pub(super) fn query_match(mut message: rds::QueryParameterMatcher) -> Result<QueryMatch> {
    let name = take(&mut message.name).into();
    let test = match take(&mut message.query_parameter_match_specifier) {
        None | Some(QueryParameterMatchSpecifier::PresentMatch(true)) => StringMatch::Present,
        Some(QueryParameterMatchSpecifier::StringMatch(test)) => string_match(test).at("string_match")?,
        Some(QueryParameterMatchSpecifier::PresentMatch(false)) => {
            return Err(Invalid::new("absence cannot be asked for")).at("present_match");
        }
    };
    nothing_else(&message)?;
    Ok(QueryMatch { name, test })
}
