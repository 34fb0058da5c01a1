//! Delegation: the rules of one VirtualService, each under the conditions of a rule of another that refers to it.

use std::collections::BTreeMap;

use galley::Object;
use galley::api::{self, HttpMatch, HttpRoute, StringMatch, VirtualService};

use crate::world::{World, is_exported};

/// A delegate with its rules as they stand under the rule that refers to it.
pub(super) struct Delegated<'a> {
    pub(super) object: &'a Object<VirtualService>,
    pub(super) rules: Vec<HttpRoute>,
}

/// The delegate of a rule: there, without hosts of its own, and exported to the namespace of who refers to it.
pub(super) fn of<'a>(
    world: &'a World,
    root: &Object<VirtualService>,
    rule: &HttpRoute,
    to: &api::Delegate,
) -> Option<Delegated<'a>> {
    let own = &root.meta.namespace;
    let namespace = if to.namespace.is_empty() { own.clone() } else { to.namespace.as_str().into() };
    let key = galley::Key { namespace, name: to.name.as_str().into() };
    let object = world.objects.virtual_services.get(&key)?;
    if !object.spec.hosts.is_empty() || !is_exported(&object.spec.export_to, &object.meta.namespace, own) {
        return None;
    }
    let outer = in_full(world, rule, own);
    let inner = object.spec.http.iter().filter(|inner| inner.delegate.is_none());
    let rules = inner.filter_map(|inner| under(&outer, &in_full(world, inner, &object.meta.namespace))).collect();
    Some(Delegated { object, rules })
}

/// A rule with every name in full, so that it means the same in another namespace.
fn in_full(world: &World, rule: &HttpRoute, own: &str) -> HttpRoute {
    let mut rule = rule.clone();
    for gateway in rule.matches.iter_mut().flat_map(|one| &mut one.gateways) {
        *gateway = match gateway.split_once('/') {
            Some((".", name)) => format!("{own}/{name}"),
            None if gateway != "mesh" => format!("{own}/{gateway}"),
            _ => continue,
        };
    }
    let mirrors = rule.mirrors.iter_mut().filter_map(|mirror| mirror.destination.as_mut());
    for to in rule.mirror.iter_mut().chain(mirrors) {
        to.host = world.full_host(&to.host, own);
    }
    rule
}

/// A delegate's rule under the rule that refers to it: what it leaves open is as it is there. `None` if no condition of
/// the two can hold at once, as Istio judges it.
fn under(outer: &HttpRoute, inner: &HttpRoute) -> Option<HttpRoute> {
    let mut rule = inner.clone();
    rule.matches = conditions(&outer.matches, &inner.matches)?;
    rule.name = joined(&outer.name, &inner.name);
    rule.rewrite = rule.rewrite.or_else(|| outer.rewrite.clone());
    rule.timeout = rule.timeout.or(outer.timeout);
    rule.retries = rule.retries.or_else(|| outer.retries.clone());
    rule.fault = rule.fault.or_else(|| outer.fault.clone());
    rule.cors_policy = rule.cors_policy.or_else(|| outer.cors_policy.clone());
    rule.headers = rule.headers.or_else(|| outer.headers.clone());
    if rule.mirror.is_none() && rule.mirrors.is_empty() {
        rule.mirror.clone_from(&outer.mirror);
        rule.mirrors.clone_from(&outer.mirrors);
        rule.mirror_percent = rule.mirror_percent.or(outer.mirror_percent);
        rule.mirror_percentage = rule.mirror_percentage.or_else(|| outer.mirror_percentage.clone());
    }
    Some(rule)
}

/// Every inner condition must fit under an outer one; it holds under each that it fits under.
fn conditions(outer: &[HttpMatch], inner: &[HttpMatch]) -> Option<Vec<HttpMatch>> {
    match (outer, inner) {
        ([], inner) => Some(inner.to_vec()),
        (outer, []) => Some(outer.to_vec()),
        (outer, inner) => {
            let mut merged = Vec::new();
            for inner in inner {
                let fitting: Vec<_> = outer.iter().filter_map(|outer| both(outer, inner)).collect();
                if fitting.is_empty() {
                    return None;
                }
                merged.extend(fitting);
            }
            Some(merged)
        }
    }
}

/// Both conditions in one. `None` if the inner one asks for something else than the outer one.
fn both(outer: &HttpMatch, inner: &HttpMatch) -> Option<HttpMatch> {
    let ignore_case = match (&outer.uri, &inner.uri) {
        (Some(_), Some(_)) if outer.ignore_uri_case != inner.ignore_uri_case => return None,
        (Some(_), None) => outer.ignore_uri_case,
        _ => inner.ignore_uri_case,
    };
    Some(HttpMatch {
        name: joined(&outer.name, &inner.name),
        uri: narrower(outer.uri.as_ref(), inner.uri.as_ref(), ignore_case)?,
        scheme: narrower(outer.scheme.as_ref(), inner.scheme.as_ref(), false)?,
        method: narrower(outer.method.as_ref(), inner.method.as_ref(), false)?,
        authority: narrower(outer.authority.as_ref(), inner.authority.as_ref(), false)?,
        headers: merged(&outer.headers, &inner.headers, |outer, inner| narrower(Some(outer), Some(inner), false)?)?,
        without_headers: merged(&outer.without_headers, &inner.without_headers, same)?,
        query_params: merged(&outer.query_params, &inner.query_params, |outer, inner| {
            narrower(Some(outer), Some(inner), false)?
        })?,
        port: one_of(outer.port, inner.port)?,
        source_labels: merged(&outer.source_labels, &inner.source_labels, same)?,
        source_namespace: one_of(said(&outer.source_namespace), said(&inner.source_namespace))?.unwrap_or_default(),
        gateways: gateways(&outer.gateways, &inner.gateways)?,
        ignore_uri_case: ignore_case,
        stat_prefix: String::new(),
    })
}

fn joined(outer: &str, inner: &str) -> String {
    match (outer, inner) {
        (outer, "") => outer.to_owned(),
        ("", inner) => inner.to_owned(),
        (outer, inner) => format!("{outer}-{inner}"),
    }
}

/// The inner test, if it lets nothing pass that the outer one does not; of one alone, that one.
fn narrower(
    outer: Option<&StringMatch>,
    inner: Option<&StringMatch>,
    ignore_case: bool,
) -> Option<Option<StringMatch>> {
    let (Some(outer), Some(inner)) = (outer, inner) else { return Some(outer.or(inner).cloned()) };
    let folded = |text: &str| if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
    let fits = match (outer, inner) {
        (StringMatch::Present, _) => true,
        (_, StringMatch::Present) => return Some(Some(outer.clone())),
        (StringMatch::Prefix(outer), StringMatch::Prefix(inner) | StringMatch::Exact(inner)) => {
            folded(inner).starts_with(&folded(outer))
        }
        (StringMatch::Exact(outer), StringMatch::Exact(inner)) => folded(outer) == folded(inner),
        // Nobody can tell what two expressions have in common.
        (outer, inner) => outer == inner,
    };
    fits.then(|| Some(inner.clone()))
}

/// All entries of both; `meet` decides about a key that both have.
fn merged<T: Clone>(
    outer: &BTreeMap<String, T>,
    inner: &BTreeMap<String, T>,
    meet: impl Fn(&T, &T) -> Option<T>,
) -> Option<BTreeMap<String, T>> {
    let mut all = inner.clone();
    for (key, outer) in outer {
        let value = match inner.get(key) {
            Some(inner) => meet(outer, inner)?,
            None => outer.clone(),
        };
        all.insert(key.clone(), value);
    }
    Some(all)
}

fn same<T: Clone + PartialEq>(outer: &T, inner: &T) -> Option<T> {
    (outer == inner).then(|| inner.clone())
}

/// What either says; `None` if they say different things.
fn one_of<T: PartialEq>(outer: Option<T>, inner: Option<T>) -> Option<Option<T>> {
    match (outer, inner) {
        (Some(outer), Some(inner)) if outer != inner => None,
        (outer, inner) => Some(inner.or(outer)),
    }
}

fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Gateways that are in both; nothing said is all.
fn gateways(outer: &[String], inner: &[String]) -> Option<Vec<String>> {
    match (outer, inner) {
        ([], all) | (all, []) => Some(all.to_vec()),
        (outer, inner) if inner.iter().all(|one| outer.contains(one)) => Some(inner.to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> HttpMatch {
        HttpMatch { uri: Some(StringMatch::Prefix(text.to_owned())), ..Default::default() }
    }

    #[test]
    fn both_conditions_hold() {
        assert_eq!(both(&uri("/a"), &uri("/a/b")), Some(uri("/a/b")));
        assert_eq!(both(&uri("/a"), &uri("/admin-of-all")), Some(uri("/admin-of-all")), "it begins with /a");
        assert_eq!(both(&uri("/a/"), &uri("/admin")), None);
        assert_eq!(both(&uri("/a"), &uri("/")), None, "wider than what was delegated");
        let exact =
            HttpMatch { uri: Some(StringMatch::Exact("/A/b".to_owned())), ignore_uri_case: true, ..Default::default() };
        assert_eq!(both(&uri("/a"), &exact), None, "one asks for case, the other does not");
        let folded = HttpMatch { ignore_uri_case: true, ..uri("/a") };
        assert_eq!(both(&folded, &exact), Some(exact));
    }

    #[test]
    fn what_only_one_says_holds() {
        let outer = HttpMatch {
            source_namespace: "team".to_owned(),
            source_labels: [("app".to_owned(), "web".to_owned())].into(),
            gateways: vec!["a/edge".to_owned(), "mesh".to_owned()],
            port: Some(80),
            ignore_uri_case: true,
            ..uri("/a")
        };
        let merged = both(&outer, &HttpMatch::default()).unwrap();
        assert_eq!(merged, outer);
        let elsewhere = HttpMatch { gateways: vec!["a/other".to_owned()], ..Default::default() };
        assert_eq!(both(&outer, &elsewhere), None);
        assert_eq!(both(&outer, &HttpMatch { port: Some(81), ..Default::default() }), None);
        let labels = HttpMatch { source_labels: [("app".to_owned(), "api".to_owned())].into(), ..Default::default() };
        assert_eq!(both(&outer, &labels), None);
    }
}
