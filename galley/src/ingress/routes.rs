//! The VirtualServices of Ingresses, one for each host: the rules of all Ingresses that speak of it, the closest first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::certificates::Certificates;
use super::{backend, gateway};
use crate::api::{
    HttpDirectResponse, HttpIngressPath, HttpMatch, HttpRoute, HttpRouteDestination, Ingress, IngressBackend,
    IngressRule, PathType, StringMatch, VirtualService,
};
use crate::object::{Meta, Object};
use crate::objects::Objects;

/// What answers where nobody does.
const NOBODY: u32 = 503;

/// What the Ingresses say of one host.
struct Host<'a> {
    /// The oldest of them.
    first: &'a Object<Ingress>,
    /// Their Gateways, and that of the host's certificate.
    gateways: BTreeSet<String>,
    routes: Vec<(Rank, HttpRoute)>,
}

/// The order of Kubernetes: the longest path first, of two as long the exact one; last what no rule takes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_default: bool,
    length: Reverse<usize>,
    is_prefix: bool,
}

/// The VirtualServices of the Ingresses that are served.
pub(super) fn of_ingresses<'a>(
    objects: &Objects,
    served: &[&'a Object<Ingress>],
    certificates: &Certificates<'a>,
) -> Vec<Object<VirtualService>> {
    let root = objects.mesh().root().to_owned();
    let full_name = |ingress: &Object<Ingress>| format!("{root}/{}", gateway::name(ingress));
    let mut hosts: BTreeMap<&str, Host<'_>> = BTreeMap::new();
    for &ingress in served {
        for (host, rank, route) in routes(objects, ingress) {
            let first = || Host { first: ingress, gateways: BTreeSet::new(), routes: Vec::new() };
            let entry = hosts.entry(host).or_insert_with(first);
            entry.gateways.insert(full_name(ingress));
            entry.gateways.extend(certificates.get(host).map(|certificate| full_name(certificate.ingress)));
            entry.routes.push((rank, route));
        }
    }
    hosts.into_iter().map(|(name, host)| host.virtual_service(name)).collect()
}

/// What one Ingress says, each route with its host.
fn routes<'a>(objects: &Objects, ingress: &'a Object<Ingress>) -> Vec<(&'a str, Rank, HttpRoute)> {
    let spec = &ingress.spec.spec;
    let to = |backend: &IngressBackend| route(objects, &ingress.meta.namespace, backend);
    let paths = spec.rules.iter().flat_map(|rule| {
        let paths = rule.http.iter().flat_map(|http| &http.paths);
        paths.map(move |path| (host(rule), path))
    });
    let mut found: Vec<_> = paths
        .map(|(host, path)| {
            let (rank, matches) = condition(path);
            (host, rank, HttpRoute { matches, ..to(&path.backend) })
        })
        .collect();
    if let Some(backend) = &spec.default_backend {
        let hosts: BTreeSet<&str> = spec.rules.iter().map(host).chain(["*"]).collect();
        let last = || Rank { is_default: true, length: Reverse(0), is_prefix: true };
        found.extend(hosts.into_iter().map(|host| (host, last(), to(backend))));
    }
    found
}

fn host(rule: &IngressRule) -> &str {
    if rule.host.is_empty() { "*" } else { &rule.host }
}

/// To a backend; what leads nowhere says so, and leaves its requests to no other rule.
fn route(objects: &Objects, namespace: &str, backend: &IngressBackend) -> HttpRoute {
    match backend::destination(objects, namespace, backend) {
        Some(destination) => HttpRoute {
            route: vec![HttpRouteDestination { destination: Some(destination), ..HttpRouteDestination::default() }],
            ..HttpRoute::default()
        },
        None => HttpRoute {
            direct_response: Some(HttpDirectResponse { status: NOBODY, body: None }),
            ..HttpRoute::default()
        },
    }
}

/// The condition of a path; none for a path that means all. What is not `Exact` or `Prefix` is read as Istio does.
fn condition(path: &HttpIngressPath) -> (Rank, Vec<HttpMatch>) {
    let text = path.path.as_str();
    match path.path_type {
        Some(PathType::Exact) => whole(text),
        Some(PathType::Prefix) => elements(text),
        Some(PathType::ImplementationSpecific) | None => match text {
            "" | "*" | "/*" | ".*" => (Rank::of_path("", true), Vec::new()),
            _ => match text.strip_suffix(".*").or_else(|| text.strip_suffix("/*")) {
                Some(start) => elements(start),
                None => whole(text),
            },
        },
    }
}

fn whole(path: &str) -> (Rank, Vec<HttpMatch>) {
    (Rank::of_path(path, false), vec![uri(StringMatch::Exact(path.to_owned()))])
}

/// Element by element: the path itself, and what is below it.
fn elements(path: &str) -> (Rank, Vec<HttpMatch>) {
    match path.trim_end_matches('/') {
        "" => (Rank::of_path("/", true), vec![uri(StringMatch::Prefix("/".to_owned()))]),
        path => {
            let below = StringMatch::Prefix(format!("{path}/"));
            (Rank::of_path(path, true), vec![uri(StringMatch::Exact(path.to_owned())), uri(below)])
        }
    }
}

fn uri(test: StringMatch) -> HttpMatch {
    HttpMatch { uri: Some(test), ..HttpMatch::default() }
}

impl Rank {
    fn of_path(path: &str, is_prefix: bool) -> Self {
        Self { is_default: false, length: Reverse(path.len()), is_prefix }
    }
}

impl Host<'_> {
    /// Istio writes the host with dashes into the name; written out, two hosts never share one.
    fn virtual_service(mut self, host: &str) -> Object<VirtualService> {
        self.routes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let first = &self.first.meta;
        let meta = Meta {
            name: format!("{}-istio-autogenerated-k8s-ingress-{host}", first.name).into(),
            namespace: first.namespace.clone(),
            creation: first.creation,
            source: first.source.clone(),
            ..Meta::default()
        };
        let spec = VirtualService {
            hosts: vec![host.to_owned()],
            gateways: self.gateways.into_iter().collect(),
            http: self.routes.into_iter().map(|(_, route)| route).collect(),
            ..VirtualService::default()
        };
        Object { meta: Arc::new(meta), spec: Arc::new(spec) }
    }
}
