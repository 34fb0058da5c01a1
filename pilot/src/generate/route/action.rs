//! What is done with a request: sent on, redirected, answered.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::route::v3::route_action::{
    ClusterSpecifier, HashPolicy, HostRewriteSpecifier, RequestMirrorPolicy,
};
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use galley::api;
use mesh_types::ClusterName;

use super::headers::Edits;
use super::matches::is_whole;
use super::{Asker, hash, retry};
use crate::generate::wire::{duration, number, percent, regex};
use crate::world::Service;

/// Straight to a service about which nothing was said.
pub(super) fn plain(asker: &Asker<'_>, service: &Service, port: u16) -> rds::RouteAction {
    let hash: Vec<HashPolicy> = hash::of(asker, service, port, "").into_iter().collect();
    rds::RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(ClusterName::outbound(&service.host, port, "").to_string())),
        timeout: Some(duration(Duration::ZERO)),
        retry_policy: retry::policy(asker.world.mesh.default_http_retry_policy.as_ref(), !hash.is_empty()),
        hash_policy: hash,
        ..Default::default()
    }
}

/// To the destinations of a rule, under one of its conditions; `None` if there is no destination.
pub(super) fn forward(
    asker: &Asker<'_>,
    rule: &api::HttpRoute,
    one: Option<&api::HttpMatch>,
    own: &str,
) -> Option<rds::RouteAction> {
    let shares = shares(&rule.route);
    let clusters: Vec<ClusterWeight> = shares.iter().map(|share| weighted(asker, share, own)).collect();
    let specifier = match shares.as_slice() {
        [] => return None,
        [only] if only.edits.is_empty() => ClusterSpecifier::Cluster(asker.cluster(only.to, own)),
        _ => ClusterSpecifier::WeightedClusters(rds::WeightedCluster { clusters, ..Default::default() }),
    };
    let hash = hashes(asker, &shares, own);
    let rewrite = rule.rewrite.as_ref();
    let host = rewrite.map(|rewrite| rewrite.authority.as_str()).filter(|host| !host.is_empty());
    let retries = rule.retries.as_ref().or(asker.world.mesh.default_http_retry_policy.as_ref());
    Some(rds::RouteAction {
        cluster_specifier: Some(specifier),
        timeout: Some(duration(rule.timeout.unwrap_or_default())),
        retry_policy: retry::policy(retries, !hash.is_empty()),
        prefix_rewrite: rewrite.filter(|_| !is_whole(one)).map(|rewrite| rewrite.uri.clone()).unwrap_or_default(),
        regex_rewrite: rewrite.and_then(|rewrite| regex_rewrite(rewrite, one)),
        host_rewrite_specifier: host.map(|host| HostRewriteSpecifier::HostRewriteLiteral(host.to_owned())),
        request_mirror_policies: mirrors(asker, rule, own),
        hash_policy: hash,
        ..Default::default()
    })
}

/// A destination that gets requests.
struct Share<'a> {
    to: &'a api::Destination,
    weight: u32,
    edits: Edits,
}

/// The only destination gets all, whatever its weight; of several, those with a weight.
fn shares(route: &[api::HttpRouteDestination]) -> Vec<Share<'_>> {
    let only = route.len() == 1;
    let all = route.iter().filter_map(|one| {
        Some(Share {
            to: one.destination.as_ref()?,
            weight: if only { 1 } else { one.weight.unwrap_or(0) },
            edits: one.headers.as_ref().map(Edits::of).unwrap_or_default(),
        })
    });
    all.filter(|share| share.weight > 0).collect()
}

fn weighted(asker: &Asker<'_>, share: &Share<'_>, own: &str) -> ClusterWeight {
    let edits = share.edits.clone();
    ClusterWeight {
        name: asker.cluster(share.to, own),
        weight: Some(number(share.weight)),
        request_headers_to_add: edits.request_add,
        request_headers_to_remove: edits.request_remove,
        response_headers_to_add: edits.response_add,
        response_headers_to_remove: edits.response_remove,
        ..Default::default()
    }
}

/// What the destinations hash, each thing once: whichever is chosen finds its own among them.
fn hashes(asker: &Asker<'_>, shares: &[Share<'_>], own: &str) -> Vec<HashPolicy> {
    let mut found: Vec<HashPolicy> = Vec::new();
    for share in shares {
        let Some(service) = asker.world.service(asker.proxy, &asker.world.full_host(&share.to.host, own)) else {
            continue;
        };
        let policy = hash::of(asker, service, asker.port_of(share.to, service), &share.to.subset);
        found.extend(policy.filter(|policy| !found.contains(policy)));
    }
    found
}

fn mirrors(asker: &Asker<'_>, rule: &api::HttpRoute, own: &str) -> Vec<RequestMirrorPolicy> {
    let one = |to: &api::Destination, share: f64| RequestMirrorPolicy {
        cluster: asker.cluster(to, own),
        runtime_fraction: Some(core::RuntimeFractionalPercent {
            default_value: Some(percent(share)),
            ..Default::default()
        }),
        // Istio's default: a copy goes to the same authority as what it is a copy of.
        disable_shadow_host_suffix_append: true,
        ..Default::default()
    };
    let share = rule.mirror_percentage.as_ref().map(|share| share.value);
    let share = share.or(rule.mirror_percent.map(f64::from)).unwrap_or(100.0);
    let single = rule.mirror.iter().map(|to| one(to, share));
    let several = rule.mirrors.iter().filter_map(|mirror| {
        Some(one(mirror.destination.as_ref()?, mirror.percentage.as_ref().map_or(100.0, |share| share.value)))
    });
    single.chain(several).collect()
}

fn regex_rewrite(rewrite: &api::HttpRewrite, one: Option<&api::HttpMatch>) -> Option<RegexMatchAndSubstitute> {
    if let Some(own) = &rewrite.uri_regex_rewrite {
        return Some(RegexMatchAndSubstitute { pattern: Some(regex(&own.matches)), substitution: own.rewrite.clone() });
    }
    // A path that was matched whole is replaced whole.
    let whole = is_whole(one) && !rewrite.uri.is_empty();
    whole.then(|| RegexMatchAndSubstitute {
        pattern: Some(regex("^.*$")),
        substitution: rewrite.uri.replace('\\', "\\\\"),
    })
}

/// Another address; `port` is the one that was called.
pub(super) fn redirect(redirect: &api::HttpRedirect, port: u16) -> rds::RedirectAction {
    use rds::redirect_action::{PathRewriteSpecifier, RedirectResponseCode as Code, SchemeRewriteSpecifier};
    let code = match redirect.redirect_code {
        Some(302) => Code::Found,
        Some(303) => Code::SeeOther,
        Some(307) => Code::TemporaryRedirect,
        Some(308) => Code::PermanentRedirect,
        _ => Code::MovedPermanently,
    };
    let path = match (redirect.uri.as_str(), redirect.prefix_rewrite.as_str()) {
        ("", "") => None,
        (uri, "") => Some(PathRewriteSpecifier::PathRedirect(uri.to_owned())),
        (_, prefix) => Some(PathRewriteSpecifier::PrefixRewrite(prefix.to_owned())),
    };
    let derived = matches!(redirect.derive_port, Some(api::DerivePort::FromRequestPort)).then_some(port);
    rds::RedirectAction {
        host_redirect: redirect.authority.clone(),
        port_redirect: u32::from(redirect.port.or(derived).unwrap_or_default()),
        response_code: code as i32,
        scheme_rewrite_specifier: (!redirect.scheme.is_empty())
            .then(|| SchemeRewriteSpecifier::SchemeRedirect(redirect.scheme.clone())),
        path_rewrite_specifier: path,
        ..Default::default()
    }
}

/// The proxy's own answer.
pub(super) fn direct_response(direct: &api::HttpDirectResponse) -> rds::DirectResponseAction {
    use core::data_source::Specifier;
    let specifier = direct.body.as_ref().and_then(|body| match (&body.string, &body.bytes) {
        (Some(text), _) => Some(Specifier::InlineString(text.clone())),
        (None, Some(bytes)) => Some(Specifier::InlineBytes(bytes.0.clone())),
        (None, None) => None,
    });
    let body = specifier.map(|specifier| core::DataSource { specifier: Some(specifier), ..Default::default() });
    rds::DirectResponseAction { status: direct.status, body, ..Default::default() }
}
