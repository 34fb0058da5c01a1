//! What consistent hashing looks at.

use envoy_types::pb::envoy::config::route::v3::route_action::HashPolicy;
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::{
    ConnectionProperties, Cookie, Header, PolicySpecifier, QueryParameter,
};

use super::Asker;
use crate::generate::policy::Policy;
use crate::generate::wire::duration;
use crate::world::Service;

/// What the balancer of a destination hashes, if it hashes.
pub(super) fn of(asker: &Asker<'_>, service: &Service, port: u16, subset: &str) -> Option<HashPolicy> {
    let rule = asker.world.destination_rule(service, asker.proxy.namespace());
    let policy = Policy::of(rule.map(|rule| &*rule.spec), subset, port).keeping_callers_of(service);
    let hash = policy.load_balancer.and_then(|balancer| balancer.consistent_hash)?;
    let specifier = if !hash.http_header_name.is_empty() {
        PolicySpecifier::Header(Header { header_name: hash.http_header_name, ..Default::default() })
    } else if let Some(cookie) = hash.http_cookie {
        PolicySpecifier::Cookie(Cookie {
            name: cookie.name,
            path: cookie.path,
            ttl: cookie.ttl.map(duration),
            ..Default::default()
        })
    } else if hash.use_source_ip {
        PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true })
    } else if !hash.http_query_parameter_name.is_empty() {
        PolicySpecifier::QueryParameter(QueryParameter { name: hash.http_query_parameter_name })
    } else {
        return None;
    };
    Some(HashPolicy { policy_specifier: Some(specifier), ..Default::default() })
}
