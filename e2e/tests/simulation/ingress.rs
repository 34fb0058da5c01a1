//! What gateways answer where Kubernetes' Ingresses say what is reached from outside.

use super::{REVIEWS, cluster, mesh};
use weft_proxy::sim::Fate;

const RATINGS: &str = "outbound|9080||ratings.default.svc.cluster.local";

/// An Ingress of the mesh's class that was made in some second.
fn ingress(name: &str, second: u8, spec: &str) -> String {
    format!(
        "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  creationTimestamp: '2026-01-01T00:00:{second:02}Z'
  annotations: {{kubernetes.io/ingress.class: istio}}
spec: {{{spec}}}
"
    )
}

fn rule(host: &str, paths: &str) -> String {
    format!("{{host: '{host}', http: {{paths: [{paths}]}}}}")
}

fn path(path: &str, path_type: &str, service: &str) -> String {
    format!("{{path: '{path}', pathType: {path_type}, backend: {}}}", backend(service))
}

fn backend(service: &str) -> String {
    format!("{{service: {{name: {service}, port: {{number: 9080}}}}}}")
}

fn unavailable() -> Fate {
    Fate::Answer(503, "direct_response".into())
}

fn is_unknown(fate: &Fate) -> bool {
    matches!(fate, Fate::Answer(404, _))
}

/// True if a gateway sends a path to reviews, where an Ingress has this path for it; false if it knows no such path.
fn takes(path_type: &str, written: &str, asked: &str) -> bool {
    let rules = rule("foo.com", &path(written, path_type, "reviews"));
    let fate = mesh(&ingress("a", 0, &format!("rules: [{rules}]"))).edge(80, "foo.com", asked);
    assert!(is_unknown(&fate) || fate == cluster(REVIEWS), "{fate:?}");
    fate == cluster(REVIEWS)
}

#[test]
fn paths_are_compared_as_kubernetes_says() {
    // The examples of Kubernetes' own documentation.
    let cases = [
        ("Prefix", "/", "/foo", true),
        ("Exact", "/foo", "/foo", true),
        ("Exact", "/foo", "/bar", false),
        ("Exact", "/foo", "/foo/", false),
        ("Exact", "/foo/", "/foo", false),
        ("Prefix", "/foo", "/foo", true),
        ("Prefix", "/foo", "/foo/", true),
        ("Prefix", "/foo/", "/foo", true),
        ("Prefix", "/foo/", "/foo/", true),
        ("Prefix", "/aaa/bb", "/aaa/bbb", false),
        ("Prefix", "/aaa/bbb", "/aaa/bbb", true),
        ("Prefix", "/aaa/bbb/", "/aaa/bbb", true),
        ("Prefix", "/aaa/bbb", "/aaa/bbb/", true),
        ("Prefix", "/aaa/bbb", "/aaa/bbb/ccc", true),
        ("Prefix", "/aaa/bbb", "/aaa/bbbxyz", false),
        ("Prefix", "/aaa", "/ccc", false),
        ("Prefix", "/foo", "/foo?bar=1", true),
        ("Prefix", "/foo", "/foobar", false),
        // Istio's reading of what Kubernetes leaves open.
        ("ImplementationSpecific", "/foo", "/foo", true),
        ("ImplementationSpecific", "/foo", "/foo/bar", false),
        ("ImplementationSpecific", "/foo/*", "/foo/bar", true),
        ("ImplementationSpecific", "/foo/*", "/foo", true),
        ("ImplementationSpecific", "/foo.*", "/foo/bar", true),
        ("ImplementationSpecific", "/foo.*", "/foobar", false),
        ("ImplementationSpecific", "", "/anything", true),
        ("ImplementationSpecific", "/*", "/anything", true),
    ];
    for (path_type, written, asked, taken) in cases {
        assert_eq!(takes(path_type, written, asked), taken, "{path_type} {written} {asked}");
    }
}

#[test]
fn the_longest_path_is_taken_and_of_two_as_long_the_exact_one() {
    let paths = [
        path("/", "Prefix", "reviews"),
        path("/a", "Prefix", "reviews"),
        path("/a", "Exact", "ratings"),
        path("/a/b", "Prefix", "ratings"),
        path("", "ImplementationSpecific", "nobody"),
    ];
    let mesh = mesh(&ingress("a", 0, &format!("rules: [{}]", rule("foo.com", &paths.join(", ")))));
    for (asked, expected) in [("/", REVIEWS), ("/a", RATINGS), ("/a/c", REVIEWS), ("/a/b/c", RATINGS)] {
        assert_eq!(mesh.edge(80, "foo.com", asked), cluster(expected), "{asked}");
    }
}

#[test]
fn hosts_are_names_wildcards_or_any() {
    let all = path("/", "Prefix", "reviews");
    let named = [rule("foo.com", &all), rule("*.bar.com", &all)].join(", ");
    let only = mesh(&ingress("a", 0, &format!("rules: [{named}]")));
    for host in ["foo.com", "foo.com:80", "a.bar.com"] {
        assert_eq!(only.edge(80, host, "/"), cluster(REVIEWS), "{host}");
    }
    for host in ["a.foo.com", "bar.com", "other.com"] {
        assert!(is_unknown(&only.edge(80, host, "/")), "{host}");
    }
    let any = mesh(&ingress("a", 0, &format!("rules: [{}]", rule("", &all))));
    assert_eq!(any.edge(80, "other.com", "/"), cluster(REVIEWS));
}

#[test]
fn ingresses_of_one_host_stand_together_and_the_older_counts_more() {
    let one = |name: &str, second: u8, service: &str| {
        let paths = [path("/both", "Exact", service), path(&format!("/{service}"), "Prefix", service)].join(", ");
        ingress(name, second, &format!("rules: [{}]", rule("foo.com", &paths)))
    };
    let mesh = mesh(&(one("a", 2, "reviews") + &one("b", 1, "ratings")));
    assert_eq!(mesh.edge(80, "foo.com", "/reviews"), cluster(REVIEWS));
    assert_eq!(mesh.edge(80, "foo.com", "/ratings"), cluster(RATINGS));
    assert_eq!(mesh.edge(80, "foo.com", "/both"), cluster(RATINGS));
}

#[test]
fn what_no_rule_takes_goes_to_the_default_backend() {
    let rules = [rule("foo.com", &path("/a", "Prefix", "reviews")), "{host: bar.com}".to_owned()].join(", ");
    let mesh = mesh(&ingress("a", 0, &format!("defaultBackend: {}, rules: [{rules}]", backend("ratings"))));
    assert_eq!(mesh.edge(80, "foo.com", "/a"), cluster(REVIEWS));
    assert_eq!(mesh.edge(80, "foo.com", "/b"), cluster(RATINGS));
    assert_eq!(mesh.edge(80, "bar.com", "/"), cluster(RATINGS));
    assert_eq!(mesh.edge(80, "other.com", "/"), cluster(RATINGS));
}

#[test]
fn a_backend_is_found_by_the_name_of_its_port_and_what_leads_nowhere_says_so() {
    let to = |path: &str, port: &str| {
        format!("{{path: {path}, pathType: Prefix, backend: {{service: {{name: reviews, port: {{name: {port}}}}}}}}}")
    };
    let bucket = "{path: /bucket, pathType: Prefix, backend: {resource: {kind: Bucket, name: a}}}".to_owned();
    let paths = [to("/", "http"), to("/missing", "grpc"), bucket].join(", ");
    let mesh = mesh(&ingress("a", 0, &format!("rules: [{}]", rule("foo.com", &paths))));
    assert_eq!(mesh.edge(80, "foo.com", "/"), cluster(REVIEWS));
    assert_eq!(mesh.edge(80, "foo.com", "/missing/1"), unavailable(), "no other rule takes it");
    assert_eq!(mesh.edge(80, "foo.com", "/bucket"), unavailable());
}

#[test]
fn hosts_with_a_certificate_are_served_over_tls_too() {
    let rules = [rule("foo.com", &path("/", "Prefix", "reviews")), rule("bar.com", &path("/", "Prefix", "ratings"))];
    let spec = format!("tls: [{{hosts: [foo.com], secretName: foo-tls}}], rules: [{}]", rules.join(", "));
    let mesh = mesh(&ingress("a", 0, &spec));
    assert_eq!(mesh.secure_edge(443, "foo.com", "/"), cluster(REVIEWS));
    assert_eq!(mesh.edge(80, "foo.com", "/"), cluster(REVIEWS));
    assert_eq!(mesh.edge(80, "bar.com", "/"), cluster(RATINGS));
    assert!(matches!(mesh.secure_edge(443, "bar.com", "/"), Fate::Refused(_)));
    assert!(matches!(mesh.edge(443, "foo.com", "/"), Fate::Refused(_)), "in plain text");
}

#[test]
fn ingresses_that_share_a_certificate_share_its_server() {
    let one = |name: &str, second: u8, service: &str| {
        let rules = rule("foo.com", &path(&format!("/{service}"), "Prefix", service));
        ingress(name, second, &format!("tls: [{{hosts: [foo.com], secretName: foo-tls}}], rules: [{rules}]"))
    };
    let mesh = mesh(&(one("a", 1, "reviews") + &one("b", 2, "ratings")));
    assert_eq!(mesh.secure_edge(443, "foo.com", "/reviews"), cluster(REVIEWS));
    assert_eq!(mesh.secure_edge(443, "foo.com", "/ratings"), cluster(RATINGS));
}

#[test]
fn those_of_another_class_are_not_served() {
    let spec = format!("rules: [{}]", rule("foo.com", &path("/", "Prefix", "reviews")));
    let ours = ingress("a", 0, &spec);
    let class = |controller: &str| {
        format!(
            "{}---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: edge}}\nspec: {{controller: {controller}}}\n",
            ingress("a", 0, &format!("ingressClassName: edge, {spec}"))
                .replace("annotations: {kubernetes.io/ingress.class: istio}", "annotations: {}")
        )
    };
    assert_eq!(mesh(&ours).edge(80, "foo.com", "/"), cluster(REVIEWS));
    assert_eq!(mesh(&class("istio.io/ingress-controller")).edge(80, "foo.com", "/"), cluster(REVIEWS));
    for theirs in [ours.replace("class: istio", "class: nginx"), class("k8s.io/ingress-nginx")] {
        assert!(matches!(mesh(&theirs).edge(80, "foo.com", "/"), Fate::Refused(_)), "nobody listens: {theirs}");
    }
}
