//! From YAML to decision without sockets: galley reads, pilot generates, the proxy's own code decodes and decides.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod edge;
mod ingress;
mod mesh;
mod routing;

use mesh::Mesh;
use weft_proxy::sim::{Fate, Opening};

const SHOP: &str = include_str!("shop.yaml");

fn mesh(more: &str) -> Mesh {
    Mesh::new(&format!("{SHOP}\n---\n{more}"))
}

fn cluster(name: &str) -> Fate {
    Fate::Cluster(name.to_owned())
}

const REVIEWS: &str = "outbound|9080||reviews.default.svc.cluster.local";
const V1: &str = "outbound|9080|v1|reviews.default.svc.cluster.local";
const V2: &str = "outbound|9080|v2|reviews.default.svc.cluster.local";

const SUBSETS: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
";

#[test]
fn without_rules_a_service_is_itself_under_all_its_names() {
    let mesh = mesh("");
    for name in [
        "reviews",
        "reviews:9080",
        "reviews.default",
        "reviews.default.svc",
        "reviews.default.svc.cluster.local",
        "10.96.0.12",
        "REVIEWS",
    ] {
        assert_eq!(mesh.get("productpage", name, "/", &[]), cluster(REVIEWS), "{name}");
    }
    assert_eq!(mesh.get("productpage", "example.com", "/", &[]), cluster("PassthroughCluster"));
}

#[test]
fn rules_are_tried_in_order() {
    let mesh = mesh(&format!(
        "{SUBSETS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http:
    - match: [{{headers: {{end-user: {{exact: jason}}}}}}]
      route: [{{destination: {{host: reviews, subset: v2}}}}]
    - match: [{{uri: {{prefix: /gone}}}}]
      directResponse: {{status: 410}}
    - match: [{{uri: {{regex: '/r/[0-9]+'}}, method: {{exact: POST}}}}]
      redirect: {{uri: /other, redirectCode: 302}}
    - match: [{{queryParams: {{debug: {{exact: 'true'}}}}}}]
      fault: {{abort: {{httpStatus: 418, percentage: {{value: 100}}}}}}
      route: [{{destination: {{host: reviews}}}}]
    - match: [{{withoutHeaders: {{x-new: {{}}}}}}]
      route: [{{destination: {{host: reviews, subset: v1}}}}]
    - route: [{{destination: {{host: reviews}}}}]
"
    ));
    let get = |path: &str, fields: &[(&str, &str)]| mesh.get("productpage", "reviews", path, fields);
    assert_eq!(get("/", &[("end-user", "jason")]), cluster(V2));
    assert_eq!(get("/gone/x", &[]), Fate::Answer(410, "direct_response".into()));
    assert_eq!(get("/r/12", &[]), cluster(V1), "another method");
    assert_eq!(mesh.call("productpage", "POST", "reviews", "/r/12", &[]), Fate::Answer(302, "direct_response".into()));
    assert_eq!(get("/?debug=true", &[]), Fate::Answer(418, "fault_filter_abort".into()));
    assert_eq!(get("/", &[]), cluster(V1));
    assert_eq!(get("/", &[("x-new", "1")]), cluster(REVIEWS));
}

#[test]
fn weights_are_kept() {
    let mesh = mesh(&format!(
        "{SUBSETS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http:
    - route:
        - {{destination: {{host: reviews, subset: v1}}, weight: 90}}
        - {{destination: {{host: reviews, subset: v2}}, weight: 10}}
"
    ));
    let to_v2 = (0..2000).filter(|_| mesh.get("productpage", "reviews", "/", &[]) == cluster(V2)).count();
    assert!((140..=260).contains(&to_v2), "{to_v2} of 2000");
}

#[test]
fn unknown_hosts_are_refused_where_the_mesh_says_so() {
    let mesh = mesh(
        "
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'}
",
    );
    assert_eq!(mesh.get("productpage", "example.com", "/", &[]), Fate::Answer(502, "direct_response".into()));
}

#[test]
fn mutual_tls_is_permissive_until_it_is_strict() {
    let inbound = "inbound|9080||";
    let permissive = mesh("");
    assert_eq!(permissive.inbound("reviews-v1", None, "/"), cluster(inbound));
    assert_eq!(permissive.inbound("reviews-v1", Some("productpage"), "/"), cluster(inbound));
    let strict = mesh(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
",
    );
    assert!(matches!(strict.inbound("reviews-v1", None, "/"), Fate::Refused(_)));
    assert_eq!(strict.inbound("reviews-v1", Some("productpage"), "/"), cluster(inbound));
}

#[test]
fn policies_allow_and_deny() {
    let mesh = mesh(
        "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec:
  selector: {matchLabels: {app: reviews}}
  action: ALLOW
  rules:
    - from: [{source: {principals: [cluster.local/ns/default/sa/productpage]}}]
      to: [{operation: {methods: [GET], paths: ['/reviews/*']}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin}
spec:
  action: DENY
  rules:
    - to: [{operation: {paths: [/reviews/admin]}}]
",
    );
    let denied = |policy: &str| Fate::Answer(403, format!("rbac_access_denied_matched_policy[{policy}]"));
    let inbound = |who: &str, path: &str| mesh.inbound("reviews-v1", Some(who), path);
    assert_eq!(inbound("productpage", "/reviews/0"), cluster("inbound|9080||"));
    assert_eq!(inbound("details", "/reviews/0"), denied("none"));
    assert_eq!(inbound("productpage", "/else"), denied("none"));
    assert_eq!(inbound("productpage", "/reviews/admin"), denied("ns[default]-policy[no-admin]-rule[0]"));
    assert_eq!(inbound("productpage", "/reviews/x/../admin"), denied("ns[default]-policy[no-admin]-rule[0]"));
    assert_eq!(mesh.inbound("ratings-v1", None, "/"), cluster("inbound|9080||"));
}

#[test]
fn policies_mean_what_they_say_of_accounts_domains_and_trials() {
    let policy = |spec: &str, note: &str| {
        mesh(&format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: 'trustDomainAliases: [old.example]'}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: some, annotations: {{{note}}}}}
spec: {spec}
"
        ))
    };
    let denied = Fate::Answer(403, "rbac_access_denied_matched_policy[none]".into());
    let reviews = "selector: {matchLabels: {app: reviews}}, rules: [{from: [{source: ";
    let inbound = |mesh: &Mesh, who: &str| mesh.inbound_from("reviews-v1", who, "/");
    let own = policy(&format!("{{{reviews}{{serviceAccounts: [productpage]}}}}]}}]}}"), "");
    let served = cluster("inbound|9080||");
    assert_eq!(inbound(&own, "spiffe://cluster.local/ns/default/sa/productpage"), served);
    assert_eq!(inbound(&own, "spiffe://cluster.local/ns/other/sa/productpage"), denied, "the policy's own namespace");
    let aliased = policy(&format!("{{{reviews}{{principals: [old.example/ns/default/sa/productpage]}}}}]}}]}}"), "");
    assert_eq!(inbound(&aliased, "spiffe://cluster.local/ns/default/sa/productpage"), served);
    assert_eq!(inbound(&aliased, "spiffe://old.example/ns/default/sa/productpage"), served);
    assert_eq!(inbound(&aliased, "spiffe://evil.example/ns/default/sa/productpage"), denied);
    let tried = policy("{action: DENY, rules: [{}]}", "istio.io/dry-run: 'true'");
    assert_eq!(inbound(&tried, "spiffe://cluster.local/ns/default/sa/productpage"), served);
}

#[test]
fn ports_that_no_service_declares_have_their_own_mutual_tls() {
    let mesh = mesh(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  selector: {matchLabels: {app: reviews}}
  mtls: {mode: PERMISSIVE}
  portLevelMtls: {7777: {mode: STRICT}}
",
    );
    assert!(matches!(mesh.inbound_bytes("reviews-v1", 7777), Fate::Refused(_)));
    assert_eq!(mesh.inbound_bytes("reviews-v1", 7778), bytes("InboundPassthroughCluster"));
}

#[test]
fn an_application_is_called_in_its_own_tls_and_in_bytes_unless_mutual_tls_is_a_must() {
    let undeclared = "
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {clusterIP: 10.96.0.30, selector: {app: reviews}, ports: [{port: 6379}]}
";
    let permissive = mesh(undeclared);
    let passed = bytes("InboundPassthroughCluster");
    assert_eq!(permissive.inbound_tls("reviews-v1", 9443), passed, "a webhook's port, which no service names");
    let store = bytes("inbound|6379||");
    assert_eq!(permissive.inbound_tls("reviews-v1", 6379), store);
    assert_eq!(permissive.inbound_bytes("reviews-v1", 6379), store);
    let mode = |mode: &str| {
        let policy = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}";
        mesh(&format!("{undeclared}\n---\n{policy}\nspec: {{mtls: {{mode: {mode}}}}}"))
    };
    let strict = mode("STRICT");
    for port in [6379, 9443] {
        assert!(matches!(strict.inbound_tls("reviews-v1", port), Fate::Refused(_)), "{port}");
        assert!(matches!(strict.inbound_bytes("reviews-v1", port), Fate::Refused(_)), "{port}");
    }
    assert_eq!(mode("DISABLE").inbound_tls("reviews-v1", 6379), store);
}

#[test]
fn a_sidecar_object_hides_what_it_does_not_name() {
    let sidecar = |spec: &str| {
        mesh(&format!("apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: default}}\nspec: {spec}\n"))
    };
    let passes = cluster("PassthroughCluster");
    let some = sidecar("{egress: [{hosts: ['./reviews.default.svc.cluster.local']}]}");
    assert_eq!(some.get("productpage", "reviews", "/", &[]), cluster(REVIEWS));
    assert_eq!(some.get("productpage", "ratings", "/", &[]), passes);
    let closed = sidecar(
        "{egress: [{hosts: ['*/*', '~default/ratings.default.svc.cluster.local']}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}",
    );
    assert_eq!(closed.get("productpage", "reviews", "/", &[]), cluster(REVIEWS));
    assert_eq!(closed.get("productpage", "ratings", "/", &[]), Fate::Answer(502, "direct_response".into()));
    let selected = sidecar("{workloadSelector: {labels: {app: nobody}}, egress: [{hosts: ['~/*']}]}");
    assert_eq!(
        selected.get("productpage", "ratings", "/", &[]),
        cluster("outbound|9080||ratings.default.svc.cluster.local")
    );
    let nothing = sidecar("{egress: [{hosts: ['~/*']}]}");
    assert_eq!(nothing.get("productpage", "reviews", "/", &[]), Fate::Bytes("PassthroughCluster".into()));
}

fn tls(name: &str) -> Opening {
    Opening::Tls(name.to_owned())
}

fn bytes(cluster: &str) -> Fate {
    Fate::Bytes(cluster.to_owned())
}

const OUTSIDE: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wiki}
spec:
  hosts: ['*.wikipedia.org', www.example.com]
  ports: [{number: 443, name: tls, protocol: TLS}, {number: 80, name: http, protocol: HTTP}]
  resolution: NONE
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: database}
spec:
  hosts: [db.example.com]
  addresses: [192.0.2.7]
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  endpoints: [{address: 198.51.100.1}]
  resolution: STATIC
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'}
";

#[test]
fn tls_without_addresses_is_known_by_its_server_name() {
    let mesh = mesh(OUTSIDE);
    let call = |opening| mesh.carry("productpage", "203.0.113.9:443", opening);
    assert_eq!(call(tls("en.wikipedia.org")), bytes("outbound|443||*.wikipedia.org"));
    assert_eq!(call(tls("www.example.com")), bytes("outbound|443||www.example.com"));
    assert_eq!(call(tls("example.org")), bytes("BlackHoleCluster"));
    assert_eq!(call(Opening::Bytes), bytes("BlackHoleCluster"));
    assert_eq!(mesh.carry("productpage", "192.0.2.7:5432", Opening::Bytes), bytes("outbound|5432||db.example.com"));
    let elsewhere = mesh.carry("productpage", "203.0.113.9:80", Opening::Bytes);
    assert_eq!(elsewhere, bytes("BlackHoleCluster"), "a port of HTTP takes HTTP alone");
}

#[test]
fn every_address_of_a_range_is_the_services() {
    let mesh = mesh(&format!(
        "{OUTSIDE}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: forge}}
spec:
  hosts: [forge.example.com]
  addresses: [198.51.100.0/25, 2001:db8:7::/48, 203.0.113.4/32]
  ports: [{{number: 22, name: ssh, protocol: TCP}}, {{number: 443, name: tls, protocol: TLS}}]
  location: MESH_EXTERNAL
  resolution: NONE
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: pages}}
spec:
  hosts: [pages.example.com]
  addresses: [198.51.100.0/25]
  ports: [{{number: 443, name: tls, protocol: TLS}}]
  resolution: NONE
---
apiVersion: v1
kind: Service
metadata: {{name: another-name}}
spec: {{type: ExternalName, externalName: forge.example.com}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: annex}}
spec:
  hosts: [annex.example.com]
  addresses: [198.51.100.64/26]
  ports: [{{number: 22, name: ssh, protocol: TCP}}]
  endpoints: [{{address: 192.0.2.99}}]
  resolution: STATIC
"
    ));
    let bytes_to = |address: &str| mesh.carry("productpage", address, Opening::Bytes);
    for inside in ["198.51.100.1:22", "[2001:db8:7:1::9]:22", "203.0.113.4:22"] {
        assert_eq!(bytes_to(inside), bytes("outbound|22||forge.example.com"), "{inside}");
    }
    assert_eq!(bytes_to("198.51.100.65:22"), bytes("outbound|22||annex.example.com"), "the narrowest range counts");
    for outside in ["198.51.100.200:22", "[2001:db8:8::9]:22", "203.0.113.5:22", "198.51.100.1:23", "192.0.2.99:22"] {
        assert_eq!(bytes_to(outside), bytes("BlackHoleCluster"), "{outside}");
    }
    let call = |address, name| mesh.carry("productpage", address, tls(name));
    for host in ["forge.example.com", "pages.example.com"] {
        assert_eq!(call("198.51.100.1:443", host), bytes(&format!("outbound|443||{host}")), "by range and name");
    }
    assert_eq!(call("198.51.100.1:443", "example.org"), bytes("BlackHoleCluster"));
    assert_eq!(
        call("203.0.113.9:443", "en.wikipedia.org"),
        bytes("outbound|443||*.wikipedia.org"),
        "by its name still"
    );
}

#[test]
fn tls_and_tcp_rules_lead_connections_of_applications() {
    let mesh = mesh(&format!(
        "{OUTSIDE}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: wiki}}
spec:
  hosts: ['*.wikipedia.org', www.example.com]
  gateways: [mesh, egress]
  tls:
    - match: [{{gateways: [egress], sniHosts: [en.wikipedia.org]}}]
      route: [{{destination: {{host: en.wikipedia.org}}}}]
    - match: [{{port: 443, sniHosts: [en.wikipedia.org]}}]
      route: [{{destination: {{host: egress.istio-system.svc.cluster.local, port: {{number: 8443}}}}}}]
    - match: [{{sourceLabels: {{app: nobody}}, sniHosts: [de.wikipedia.org]}}]
      route: [{{destination: {{host: reviews}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: database}}
spec:
  hosts: [db.example.com]
  tcp:
    - match: [{{port: 1}}]
      route: [{{destination: {{host: ratings}}}}]
    - match: [{{port: 5432}}]
      route: [{{destination: {{host: reviews, subset: v2, port: {{number: 9080}}}}}}]
---
{SUBSETS}"
    ));
    let call = |opening| mesh.carry("productpage", "203.0.113.9:443", opening);
    assert_eq!(call(tls("en.wikipedia.org")), bytes("outbound|8443||egress.istio-system.svc.cluster.local"));
    assert_eq!(call(tls("de.wikipedia.org")), bytes("BlackHoleCluster"), "the rules say which names there are");
    assert_eq!(mesh.carry("productpage", "192.0.2.7:5432", Opening::Bytes), bytes(V2));
}

#[test]
fn gateways_lead_connections_by_name_and_port() {
    let mesh = mesh(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 8443, name: tls, protocol: TLS}, hosts: ['*.example.com'], tls: {mode: PASSTHROUGH}}
    - {port: {number: 31400, name: tcp, protocol: TCP}, hosts: ['*']}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ['*.example.com']
  gateways: [edge]
  tls:
    - match: [{port: 8443, sniHosts: [a.example.com]}]
      route: [{destination: {host: reviews, port: {number: 9080}}}]
    - match: [{port: 8443, sniHosts: [b.example.com]}]
      route: [{destination: {host: ratings, port: {number: 9080}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec:
  hosts: ['*']
  gateways: [edge]
  tcp:
    - match: [{port: 31400}]
      route: [{destination: {host: details, port: {number: 9080}}}]
",
    );
    assert_eq!(mesh.at_gateway(8443, tls("a.example.com")), bytes(REVIEWS));
    assert_eq!(mesh.at_gateway(8443, tls("b.example.com")), bytes("outbound|9080||ratings.default.svc.cluster.local"));
    assert!(matches!(mesh.at_gateway(8443, tls("c.example.com")), Fate::Refused(_)));
    let details = bytes("outbound|9080||details.default.svc.cluster.local");
    assert_eq!(mesh.at_gateway(31400, Opening::Bytes), details);
}

#[test]
fn a_member_of_a_headless_service_is_called_itself_and_an_alias_is_its_target() {
    let mesh = mesh(
        "
apiVersion: v1
kind: Service
metadata: {name: members}
spec: {clusterIP: None, selector: {app: reviews}, ports: [{name: mysql, port: 3306}]}
---
apiVersion: v1
kind: Service
metadata: {name: opinions}
spec: {type: ExternalName, externalName: reviews.default.svc.cluster.local}
",
    );
    let members = bytes("outbound|3306||members.default.svc.cluster.local");
    assert_eq!(mesh.carry("productpage", "10.0.0.11:3306", Opening::Bytes), members);
    assert_eq!(mesh.carry("productpage", "10.0.0.13:3306", Opening::Bytes), bytes("PassthroughCluster"));
    let alias = cluster("outbound|9080||opinions.default.svc.cluster.local");
    assert_eq!(mesh.get("productpage", "opinions", "/", &[]), alias);
}

#[test]
fn places_reach_the_proxy() {
    let node = |name: &str, zone: &str| {
        format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {{topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: {zone}}}}}\n---\n"
        )
    };
    let pod = |name: &str, ip: &str, node: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: ratings}}}}\nspec: {{nodeName: {node}, containers: []}}\nstatus: {{phase: Running, podIP: {ip}, conditions: [{{type: Ready, status: 'True'}}]}}\n---\n"
        )
    };
    let shares = "loadBalancer: {localityLbSetting: {distribute: [{from: eu/a, to: {eu/a: 80, eu/b: 20}}]}}";
    let rule = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: ratings}}\nspec: {{host: ratings, trafficPolicy: {{{shares}, outlierDetection: {{}}}}}}\n"
    );
    let nodes = node("one", "a") + &node("two", "b");
    let pods = pod("client", "10.0.0.99", "one") + &pod("near", "10.0.0.21", "one") + &pod("far", "10.0.0.22", "two");
    let mesh = mesh(&(nodes + &pods + &rule));
    let ratings = cluster("outbound|9080||ratings.default.svc.cluster.local");
    assert_eq!(mesh.get("client", "ratings", "/", &[]), ratings, "the proxy takes shares of places");
}
