//! What gateways answer.

use super::{REVIEWS, cluster, mesh};
use weft_proxy::sim::Fate;

const RATINGS: &str = "outbound|9080||ratings.default.svc.cluster.local";

/// A gateway with these servers, and VirtualServices with these hosts and rules that name it.
fn edge(servers: &str, services: &[(&str, &str)]) -> String {
    let gateway = format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: edge}}\nspec: {{selector: {{istio: ingressgateway}}, servers: {servers}}}\n"
    );
    let service = |(index, (hosts, http)): (usize, &(&str, &str))| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: s{index}}}\nspec: {{hosts: {hosts}, gateways: [edge], http: {http}}}\n"
        )
    };
    gateway + &services.iter().enumerate().map(service).collect::<String>()
}

const TO_REVIEWS: &str = "[{route: [{destination: {host: reviews, port: {number: 9080}}}]}]";

fn redirected() -> Fate {
    Fate::Answer(301, "direct_response".into())
}

fn is_unknown(fate: &Fate) -> bool {
    matches!(fate, Fate::Answer(404, _))
}

#[test]
fn a_server_answers_for_its_hosts_alone() {
    let mesh =
        mesh(&edge("[{port: {number: 8080, name: http, protocol: HTTP}, hosts: [foo.com]}]", &[("['*']", TO_REVIEWS)]));
    assert_eq!(mesh.edge(8080, "foo.com", "/"), cluster(REVIEWS));
    assert_eq!(mesh.edge(8080, "foo.com.", "/"), cluster(REVIEWS));
    assert!(is_unknown(&mesh.edge(8080, "bar.com", "/")));
}

#[test]
fn objects_for_one_host_stand_together() {
    let ratings =
        "[{match: [{uri: {prefix: /ratings}}], route: [{destination: {host: ratings, port: {number: 9080}}}]}]";
    let mesh = mesh(&edge(
        "[{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]",
        &[("[foo.com]", TO_REVIEWS), ("[foo.com]", ratings)],
    ));
    assert_eq!(mesh.edge(8080, "foo.com", "/ratings/1"), cluster(RATINGS), "the catch-all of the other comes last");
    assert_eq!(mesh.edge(8080, "foo.com", "/"), cluster(REVIEWS));
}

#[test]
fn a_redirect_needs_no_virtual_service() {
    let servers =
        "[{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*.foo.com'], tls: {httpsRedirect: true}}]";
    let mesh = mesh(&edge(servers, &[]));
    assert_eq!(mesh.edge(8080, "a.foo.com", "/"), redirected());
    assert!(is_unknown(&mesh.edge(8080, "bar.com", "/")));
}

#[test]
fn the_server_that_names_a_host_most_closely_has_the_word() {
    let servers = "[
        {port: {number: 8080, name: plain, protocol: HTTP}, hosts: [foo.com]},
        {port: {number: 8080, name: other, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}]";
    let mesh = mesh(&edge(servers, &[("[foo.com, bar.com]", TO_REVIEWS)]));
    assert_eq!(mesh.edge(8080, "foo.com", "/"), cluster(REVIEWS));
    assert_eq!(mesh.edge(8080, "bar.com", "/"), redirected());
    assert_eq!(mesh.edge(8080, "else.com", "/"), redirected());
}

#[test]
fn a_gateway_listens_where_its_service_sends() {
    let service = "
---
apiVersion: v1
kind: Service
metadata: {name: edge}
spec: {clusterIP: 10.96.0.50, selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8080}]}
";
    let rules = "[{match: [{port: 80}], route: [{destination: {host: reviews, port: {number: 9080}}}]}]";
    let servers = "[{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]";
    let mesh = mesh(&(edge(servers, &[("['*']", rules)]) + service));
    assert_eq!(mesh.edge(8080, "foo.com", "/"), cluster(REVIEWS));
    assert!(matches!(mesh.edge(80, "foo.com", "/"), Fate::Refused(_)), "a port below 1024 is not its to open");
}
