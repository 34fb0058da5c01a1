//! Which virtual host and which route take a request. Pure: the same for traffic and for simulation.

use std::borrow::Cow;
use std::sync::Arc;

use mesh_http::RequestHead;

use crate::model::{FieldMatch, FieldTest, PathMatch, QueryMatch, Route, RouteConfig, RouteMatch, VirtualHost};

/// The first of a virtual host's routes that takes the request.
pub(super) fn route(host: &VirtualHost, head: &RequestHead) -> Option<Arc<Route>> {
    host.routes.iter().find(|route| matches(&route.matches, head)).cloned()
}

/// The virtual host that names this authority (lower case) itself. Envoy's order: exact, then [`by_pattern`].
pub(super) fn exact(config: &RouteConfig, authority: &str) -> Option<Arc<VirtualHost>> {
    let at = config.exact.get(lookup_name(config, authority))?;
    config.virtual_hosts.get(*at).cloned()
}

/// The virtual host of a pattern. Envoy's order: longest `*.suffix`, longest `prefix.*`, `*`.
pub(super) fn by_pattern(config: &RouteConfig, authority: &str) -> Option<Arc<VirtualHost>> {
    let name = lookup_name(config, authority);
    let suffix = || config.suffixes.iter().find(|(suffix, _)| name.len() > suffix.len() && name.ends_with(&**suffix));
    let prefix = || config.prefixes.iter().find(|(prefix, _)| name.len() > prefix.len() && name.starts_with(&**prefix));
    let at = suffix().map(|(_, at)| *at).or_else(|| prefix().map(|(_, at)| *at)).or(config.any)?;
    config.virtual_hosts.get(at).cloned()
}

/// The name under which an authority (lower case) is looked up in a route configuration, and asked for.
pub(super) fn lookup_name<'a>(config: &RouteConfig, authority: &'a str) -> &'a str {
    if config.ignore_port { without_port(authority) } else { authority }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => authority,
    }
}

/// Host and port of an authority.
pub(super) fn split_port(authority: &[u8]) -> (&[u8], Option<u16>) {
    let text = std::str::from_utf8(authority).unwrap_or_default();
    let host = without_port(text);
    let port = text.get(host.len() + 1..).and_then(|port| port.parse().ok());
    (host.as_bytes(), port)
}

/// An authority as text in lower case. The codec lets nothing but visible ASCII through.
pub(super) fn lower_case(authority: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(authority);
    if text.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(text.to_ascii_lowercase()) } else { text }
}

/// True if a route takes the request.
pub(super) fn matches(rule: &RouteMatch, head: &RequestHead) -> bool {
    let (path, query) = split_query(head.path());
    path_matches(&rule.path, path, rule.ignore_case)
        && (!rule.grpc_only || head.is_grpc())
        && rule.fields.iter().all(|field| field_matches(field, head))
        && (rule.query.is_empty() || rule.query.iter().all(|test| query_matches(test, query)))
        && rule.runtime_fraction.is_none_or(super::draw)
}

/// Path and query, without the question mark.
pub fn split_query(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, b""),
    }
}

/// True if a path without query passes.
pub fn path_matches(rule: &PathMatch, path: &[u8], ignore_case: bool) -> bool {
    let same = |one: &[u8], other: &[u8]| if ignore_case { one.eq_ignore_ascii_case(other) } else { one == other };
    let begins = |text: &[u8]| path.get(..text.len()).is_some_and(|start| same(start, text));
    match rule {
        PathMatch::Any => true,
        PathMatch::Exact(text) => same(path, text),
        PathMatch::Prefix(text) => begins(text),
        PathMatch::SeparatedPrefix(text) => begins(text) && matches!(path.get(text.len()), None | Some(b'/')),
        PathMatch::Regex(regex) | PathMatch::Template(regex) => regex.is_match(path),
    }
}

/// True if a field test passes (Envoy's `HeaderMatcher`).
pub fn field_matches(rule: &FieldMatch, head: &RequestHead) -> bool {
    let value = field(head, &rule.name);
    let value = match (value, rule.missing_is_empty) {
        (None, true) => Some(Cow::Borrowed(&b""[..])),
        (value, _) => value,
    };
    let passes = match (&rule.test, value) {
        (FieldTest::Present(wanted), value) => value.is_some() == *wanted,
        // An absent field fails every test of its value, turned round or not.
        (_, None) => return false,
        (FieldTest::Value(test), Some(value)) => test.matches(&value),
        (FieldTest::Range(start, end), Some(value)) => {
            let number = std::str::from_utf8(&value).ok().and_then(|text| text.trim().parse::<i64>().ok());
            number.is_some_and(|number| (*start..*end).contains(&number))
        }
    };
    passes != rule.invert
}

/// A field's value, several joined by commas; pseudo fields by their names.
pub fn field<'a>(head: &'a RequestHead, name: &str) -> Option<Cow<'a, [u8]>> {
    match name {
        ":authority" | "host" => return Some(Cow::Borrowed(head.authority())),
        ":method" => return Some(Cow::Borrowed(head.method())),
        ":path" => return Some(Cow::Borrowed(head.path())),
        ":scheme" => return Some(Cow::Borrowed(head.scheme())),
        _ => {}
    }
    let mut values = head.fields.iter().filter(|(_, field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
    let (_, _, first) = values.next()?;
    let Some((_, _, second)) = values.next() else { return Some(Cow::Borrowed(first)) };
    let mut joined = [first, second].join(&b","[..]);
    for (_, _, value) in values {
        joined.push(b',');
        joined.extend_from_slice(value);
    }
    Some(Cow::Owned(joined))
}

/// The first value of a query parameter, as it stands.
pub(super) fn query_value<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|b| *b == b'&').find_map(|pair| {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        (&pair[..at] == name).then(|| pair.get(at + 1..).unwrap_or_default())
    })
}

fn query_matches(rule: &QueryMatch, query: &[u8]) -> bool {
    query_value(query, rule.name.as_bytes()).is_some_and(|value| rule.test.matches(value))
}
