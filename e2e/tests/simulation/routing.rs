//! Which VirtualService has the word, and what it may say.

use super::{REVIEWS, SUBSETS, V1, V2, bytes, cluster, mesh};
use weft_proxy::sim::{Fate, Opening};

const RATINGS: &str = "outbound|9080||ratings.default.svc.cluster.local";

fn service(name: &str, spec: &str) -> String {
    format!("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n")
}

#[test]
fn a_delegate_serves_only_what_it_was_given() {
    let given = service(
        "root",
        "{hosts: [reviews], http: [
            {match: [{uri: {prefix: /a/}, sourceLabels: {app: nobody}}], delegate: {name: theirs}},
            {match: [{uri: {prefix: /a/}}], timeout: 3s, rewrite: {uri: /b/}, delegate: {name: theirs}},
            {match: [{uri: {prefix: /p/}}], delegate: {name: private, namespace: other}},
            {route: [{destination: {host: ratings, port: {number: 9080}}}]}]}",
    );
    let theirs = service(
        "theirs",
        "{http: [
            {match: [{uri: {prefix: /admin}}], directResponse: {status: 410}},
            {match: [{uri: {exact: /a/x}}, {uri: {prefix: /a/y}, method: {exact: GET}}], directResponse: {status: 200}},
            {route: [{destination: {host: reviews}}]}]}",
    );
    let private = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: private, namespace: other}
spec: {exportTo: ['.'], http: [{directResponse: {status: 200}}]}
";
    let mesh = mesh(&format!("{given}{theirs}{private}"));
    let get = |path: &str| mesh.get("productpage", "reviews", path, &[]);
    assert_eq!(get("/admin"), cluster(RATINGS), "outside of what was delegated");
    assert_eq!(get("/a/x"), Fate::Answer(200, "direct_response".into()));
    assert_eq!(get("/a/y/z"), Fate::Answer(200, "direct_response".into()));
    assert_eq!(
        mesh.sent("productpage", "reviews", "/a/else"),
        (cluster(REVIEWS), "/b/else".into()),
        "rewritten as the root says"
    );
    assert_eq!(get("/p/x"), cluster(RATINGS), "exported to nobody else");
}

#[test]
fn the_closest_virtual_service_has_the_word() {
    let wide = service("a-wide", "{hosts: ['*.default.svc.cluster.local'], http: [{directResponse: {status: 410}}]}");
    let close = service("b-close", "{hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}");
    let mesh = mesh(&format!("{wide}{close}"));
    assert_eq!(mesh.get("productpage", "reviews", "/", &[]), cluster(REVIEWS));
    assert_eq!(mesh.get("productpage", "ratings", "/", &[]), Fate::Answer(410, "direct_response".into()));
}

#[test]
fn rules_for_others_leave_the_service_as_it_is() {
    let rules = "{hosts: [reviews], http: [
        {match: [{port: 1}], directResponse: {status: 410}},
        {match: [{sourceLabels: {app: nobody}}], directResponse: {status: 410}}]}";
    let mesh = mesh(&service("reviews", rules));
    assert_eq!(mesh.get("productpage", "reviews", "/", &[]), cluster(REVIEWS));
}

#[test]
fn of_several_destinations_those_without_weight_get_nothing() {
    let rules = "{hosts: [reviews], http: [{route: [
        {destination: {host: reviews, subset: v1}, weight: 100},
        {destination: {host: reviews, subset: v2}}]}]}";
    let one = "{hosts: [ratings], http: [{route: [
        {destination: {host: ratings}, weight: 0, headers: {request: {set: {a: b}}}}]}]}";
    let mesh = mesh(&format!("{}{}{SUBSETS}", service("reviews", rules), service("ratings", one)));
    assert!((0..300).all(|_| mesh_is(&mesh, V1)));
    assert_eq!(mesh.get("productpage", "ratings", "/", &[]), cluster(RATINGS), "the only one gets all");
}

fn mesh_is(mesh: &super::mesh::Mesh, want: &str) -> bool {
    mesh.get("productpage", "reviews", "/", &[]) == cluster(want)
}

#[test]
fn a_rewrite_of_the_root_replaces_its_slash() {
    let rules = "{hosts: [reviews], http: [
        {match: [{uri: {prefix: /}, headers: {x: {exact: y}}}], directResponse: {status: 410}},
        {rewrite: {uri: /v2/}, route: [{destination: {host: reviews}}]}]}";
    let mesh = mesh(&service("reviews", rules));
    assert_eq!(mesh.sent("productpage", "reviews", "/x?q"), (cluster(REVIEWS), "/v2/x?q".into()));
}

#[test]
fn hosts_that_no_service_has_are_routed_at_the_port_of_http() {
    let web = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.20, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: nodes}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
---
";
    let rules = "{hosts: [api.acme.test, '*.acme.test'], http: [{route: [{destination: {host: reviews}}]}]}";
    let mesh = mesh(&format!("{web}{}", service("acme", rules)));
    let get = |host: &str| mesh.get_at("productpage", "203.0.113.1:80", host, "/");
    for host in ["api.acme.test", "api.acme.test.", "b.acme.test"] {
        assert_eq!(get(host), cluster(REVIEWS), "{host}");
    }
    assert_eq!(get("web.default.svc.cluster.local."), cluster("outbound|80||web.default.svc.cluster.local"));
    for host in ["nodes", "node-0.nodes", "node-0.nodes.default.svc.cluster.local"] {
        assert_eq!(get(host), cluster("outbound|80||nodes.default.svc.cluster.local"), "{host}");
    }
}

#[test]
fn a_port_without_protocol_knows_who_calls() {
    let any = "
apiVersion: v1
kind: Service
metadata: {name: any}
spec: {clusterIP: 10.96.0.30, ports: [{name: main, port: 7000}]}
---
";
    let rules = "{hosts: [any], http: [
        {match: [{sourceLabels: {app: reviews}}], directResponse: {status: 410}},
        {route: [{destination: {host: any}}]}]}";
    let mesh = mesh(&format!("{any}{}", service("any", rules)));
    let get = |workload: &str| mesh.get_at(workload, "10.96.0.30:7000", "any", "/");
    assert_eq!(get("reviews-v1"), Fate::Answer(410, "direct_response".into()));
    assert_eq!(get("ratings-v1"), cluster("outbound|7000||any.default.svc.cluster.local"));
}

#[test]
fn connections_follow_one_virtual_service() {
    let tcp = "
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: 10.96.0.40, ports: [{name: tcp, port: 5432}]}
---
";
    let to = |subset: &str| format!("route: [{{destination: {{host: reviews, subset: {subset}}}}}]");
    let wide = service(
        "a-wide",
        &format!(
            "{{hosts: ['*.default.svc.cluster.local'], tcp: [{{match: [{{destinationSubnets: [10.0.0.0/8]}}], {}}}]}}",
            to("v1")
        ),
    );
    let close = service("b-close", &format!("{{hosts: [db], tcp: [{{{}}}]}}", to("v2")));
    let mesh = mesh(&format!("{tcp}{wide}{close}{SUBSETS}"));
    assert_eq!(mesh.carry("productpage", "10.96.0.40:5432", Opening::Bytes), bytes(V2));
}
