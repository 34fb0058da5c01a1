//! What is tried again, as a route or the mesh says; else by Istio's default.

use envoy_types::pb::envoy::config::route::v3::RetryPolicy;
use envoy_types::pb::envoy::config::route::v3::retry_policy::retry_host_predicate::ConfigType;
use envoy_types::pb::envoy::config::route::v3::retry_policy::{RetryBackOff, RetryHostPredicate};
use envoy_types::pb::google::protobuf::Any;
use galley::api;

use crate::generate::wire::{duration, number};

/// Istio's default of tries after the first.
const RETRIES: u32 = 2;
/// Without a word of the user's: what certainly was not processed, whatever was asked. (Istio's default repeats gRPC calls
/// that ended with UNAVAILABLE or CANCELLED too, which may have done their work.)
const UNPROCESSED: &str = "connect-failure,refused-stream,reset-before-request";
/// Of a rule that asks for retries and does not say when: Istio's words. They name no status code, since an answer of 503
/// may come from an application that has done its work.
const ASKED_FOR: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const PREVIOUS_HOSTS: &str = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";

/// The policy of a rule. Where requests are `hashed` to an endpoint, tries stay there unless the rule says otherwise.
pub(super) fn policy(rule: Option<&api::HttpRetry>, hashed: bool) -> Option<RetryPolicy> {
    let attempts = rule.map_or(RETRIES, |rule| rule.attempts);
    if attempts == 0 {
        return None;
    }
    let words = match rule.map(|rule| rule.retry_on.as_str()) {
        None => UNPROCESSED,
        Some("") => ASKED_FOR,
        Some(words) => words,
    };
    let (words, codes) = conditions(words);
    let other_hosts = rule.and_then(|rule| rule.retry_ignore_previous_hosts).unwrap_or(!hashed);
    Some(RetryPolicy {
        retry_on: words,
        num_retries: Some(number(attempts)),
        per_try_timeout: rule.and_then(|rule| rule.per_try_timeout).map(duration),
        retriable_status_codes: codes,
        retry_host_predicate: other_hosts.then(previous_hosts).into_iter().collect(),
        host_selection_retry_max_attempts: 5,
        retry_back_off: rule
            .and_then(|rule| rule.backoff)
            .map(|base| RetryBackOff { base_interval: Some(duration(base)), max_interval: None }),
        ..Default::default()
    })
}

/// Istio takes plain status codes among Envoy's words.
fn conditions(words: &str) -> (String, Vec<u32>) {
    let is_code = |word: &&str| word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit());
    let (codes, mut words): (Vec<&str>, Vec<&str>) = words.split(',').map(str::trim).partition(is_code);
    if !codes.is_empty() && !words.contains(&"retriable-status-codes") {
        words.push("retriable-status-codes");
    }
    (words.join(","), codes.iter().filter_map(|code| code.parse().ok()).collect())
}

/// No endpoint is tried twice.
fn previous_hosts() -> RetryHostPredicate {
    RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(ConfigType::TypedConfig(Any { type_url: PREVIOUS_HOSTS.to_owned(), value: Vec::new() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_repeated_by_default_that_may_have_been_processed() {
        let default = policy(None, false).unwrap();
        assert_eq!(default.retry_on, "connect-failure,refused-stream,reset-before-request");
        assert!(default.retriable_status_codes.is_empty(), "a POST that was answered 503 may have been processed");
        assert_eq!(default.num_retries, Some(number(2)));
        let asked = policy(Some(&api::HttpRetry { attempts: 1, ..Default::default() }), false).unwrap();
        assert_eq!(asked.retry_on, ASKED_FOR);
        assert!(asked.retriable_status_codes.is_empty());
        let named = api::HttpRetry { attempts: 3, retry_on: "503, reset".to_owned(), ..Default::default() };
        let named = policy(Some(&named), false).unwrap();
        assert_eq!(
            (named.retry_on.as_str(), &*named.retriable_status_codes),
            ("reset,retriable-status-codes", &[503][..])
        );
        assert_eq!(policy(Some(&api::HttpRetry::default()), false), None);
    }

    #[test]
    fn a_hashed_request_is_tried_where_it_belongs() {
        let predicates = |said, hashed| {
            let rule = api::HttpRetry { attempts: 1, retry_ignore_previous_hosts: said, ..Default::default() };
            policy(Some(&rule), hashed).unwrap().retry_host_predicate.len()
        };
        assert_eq!(predicates(None, false), 1);
        assert_eq!(predicates(None, true), 0);
        assert_eq!(predicates(Some(true), true), 1);
        assert_eq!(predicates(Some(false), false), 0);
    }
}
