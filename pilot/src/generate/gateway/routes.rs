//! The virtual hosts of a gateway: the hosts of its servers, as far as VirtualServices speak of them.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use galley::{Object, api};

use super::Served;
use crate::generate::outbound::domains;
use crate::generate::route::{Asker, prefix, told_to_proxies};
use crate::generate::wire::flag;
use crate::proxy::Proxy;
use crate::world::{World, closeness, host_matches};

/// What answers a host.
struct Answering {
    /// How closely the server that says so names the host: the closest has the word.
    closeness: (bool, usize),
    redirects: bool,
    routes: Vec<rds::Route>,
}

/// The route configuration of servers that share connections.
pub(super) fn of_servers(world: &World, proxy: &Proxy, name: &str, servers: &[&Served<'_>]) -> rds::RouteConfiguration {
    let mut hosts: BTreeMap<String, Answering> = BTreeMap::new();
    for served in servers {
        let asker = Asker { world, proxy, gateway: &served.gateway, port: served.number };
        let redirects = served.redirects();
        if redirects {
            // Whether or not anybody routes them.
            for (_, host) in served.hosts() {
                answering(&mut hosts, host, host, true);
            }
        }
        for object in asker.virtual_services() {
            let mut routes = None;
            for (pattern, host) in admitted(world, served, object) {
                let Some(entry) = answering(&mut hosts, &host, pattern, redirects) else { continue };
                // Through two gateways on one port an object may come twice.
                for route in routes.get_or_insert_with(|| asker.routes(object)) {
                    if !entry.routes.contains(route) {
                        entry.routes.push(route.clone());
                    }
                }
            }
        }
    }
    let port = servers.first().map_or(0, |served| served.number);
    let mut virtual_hosts: Vec<_> = hosts.into_iter().map(|(host, answering)| answering.host(&host, port)).collect();
    if virtual_hosts.is_empty() {
        virtual_hosts.push(rds::VirtualHost {
            name: format!("blackhole:{port}"),
            domains: vec!["*".to_owned()],
            ..Default::default()
        });
    }
    rds::RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts,
        response_headers_to_remove: told_to_proxies(proxy),
        ignore_port_in_host_matching: true,
        validate_clusters: Some(flag(false)),
        ..Default::default()
    }
}

/// The entry of a host, for a server that names it by this pattern; `None` if another server names it more closely.
fn answering<'a>(
    hosts: &'a mut BTreeMap<String, Answering>,
    host: &str,
    pattern: &str,
    redirects: bool,
) -> Option<&'a mut Answering> {
    let closeness = closeness(pattern);
    let entry = hosts.entry(host.to_owned()).or_insert_with(|| Answering { closeness, redirects, routes: Vec::new() });
    if entry.closeness < closeness {
        *entry = Answering { closeness, redirects, routes: Vec::new() };
    } else if entry.closeness > closeness {
        return None;
    }
    entry.redirects |= redirects;
    Some(entry)
}

impl Answering {
    fn host(mut self, host: &str, port: u16) -> rds::VirtualHost {
        // Of several objects for one host, none may hide the others by a rule without conditions.
        self.routes.sort_by_key(takes_everything);
        rds::VirtualHost {
            name: format!("{host}:{port}"),
            domains: domains::of_host(host),
            routes: if self.redirects { vec![to_https()] } else { self.routes },
            include_request_attempt_count: true,
            ..Default::default()
        }
    }
}

fn takes_everything(route: &rds::Route) -> bool {
    route.r#match.as_ref().is_some_and(|condition| {
        matches!(&condition.path_specifier, Some(PathSpecifier::Prefix(path)) if path == "/")
            && condition.headers.is_empty()
            && condition.query_parameters.is_empty()
    })
}

/// The hosts of a VirtualService that a server admits, each with the server's pattern for it.
pub(super) fn admitted<'a>(
    world: &World,
    served: &'a Served<'_>,
    object: &Object<api::VirtualService>,
) -> Vec<(&'a str, String)> {
    let own = &*object.meta.namespace;
    let here = |from: &str| match from {
        "*" => true,
        "." => served.namespace == own,
        from => from == own,
    };
    let names: Vec<String> = object.spec.hosts.iter().map(|host| world.full_host(host, own)).collect();
    let patterns = served.hosts().filter(|(from, _)| here(from));
    let pairs = patterns.flat_map(|(_, pattern)| names.iter().map(move |name| (pattern, name)));
    pairs.filter_map(|(pattern, name)| Some((pattern, intersection(pattern, name)?.to_owned()))).collect()
}

/// The narrower of two hosts, if it is within the other.
fn intersection<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
    if one == other || host_matches(one, other) { Some(other) } else { host_matches(other, one).then_some(one) }
}

fn to_https() -> rds::Route {
    use rds::redirect_action::SchemeRewriteSpecifier;
    let redirect = rds::RedirectAction {
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
        ..Default::default()
    };
    rds::Route {
        name: "https-redirect".to_owned(),
        r#match: Some(prefix("/")),
        action: Some(Action::Redirect(redirect)),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_hosts_the_narrower_is_served() {
        let cases = [
            ("foo.com", "*", Some("foo.com")),
            ("*", "foo.com", Some("foo.com")),
            ("*.com", "*.foo.com", Some("*.foo.com")),
            ("*.foo.com", "*", Some("*.foo.com")),
            ("foo.com", "foo.com", Some("foo.com")),
            ("*", "*", Some("*")),
            ("foo.com", "bar.com", None),
            ("*.foo.com", "foo.com", None),
        ];
        for (one, other, want) in cases {
            assert_eq!(intersection(one, other), want, "{one} {other}");
        }
    }
}
