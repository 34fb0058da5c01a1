//! Gateways that ask for the same connections.

use envoy_types::pb::envoy::config::listener::v3 as lds;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;

use super::*;

/// A Gateway made on a day of January, with one server.
fn gateway(name: &str, day: u8, protocol: &str, hosts: &str, tls: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, creationTimestamp: '2026-01-{day:02}T00:00:00Z'}}
spec:
  selector: {{version: v1}}
  servers: [{{port: {{number: 443, name: {name}, protocol: {protocol}}}, hosts: [{hosts}], {tls}}}]
"
    )
}

/// The chains of port 443: the names that each takes, and whose routes it has.
fn chains(yaml: &str) -> Vec<(Vec<String>, String)> {
    let mesh = Mesh::new(yaml);
    let all = generate(&mesh.0, &proxy(NodeKind::Router, "default"));
    let found = all.get(Kind::Listener, "0.0.0.0_443").expect("a listener");
    let listener = lds::Listener::decode(found.body.value.as_slice()).unwrap();
    let chain = |chain: &lds::FilterChain| {
        let names = chain.filter_chain_match.as_ref().map(|one| one.server_names.clone()).unwrap_or_default();
        let Some(ConfigType::TypedConfig(any)) = &chain.filters[0].config_type else { panic!("no configuration") };
        let manager = hcm::HttpConnectionManager::decode(any.value.as_slice()).unwrap();
        let Some(hcm::http_connection_manager::RouteSpecifier::Rds(rds)) = manager.route_specifier else {
            panic!("no routes by name")
        };
        (names, rds.route_config_name)
    };
    listener.filter_chains.iter().map(chain).collect()
}

const SECURE: &str = "tls: {mode: SIMPLE, credentialName: key}";

#[test]
fn the_oldest_gateway_of_a_host_has_its_connections() {
    let older = gateway("z", 1, "HTTPS", "x.org", SECURE);
    let younger = gateway("a", 2, "HTTPS", "x.org, y.org", SECURE);
    let expected = [
        (vec!["x.org".to_owned()], "https.443.z.z.default".to_owned()),
        (vec!["y.org".to_owned()], "https.443.a.a.default".to_owned()),
    ];
    assert_eq!(chains(&(younger + &older)), expected);
}

#[test]
fn one_server_takes_what_names_nobody() {
    let first = gateway("z", 1, "HTTPS", "'*'", SECURE);
    let second = gateway("a", 2, "HTTPS", "'*'", SECURE);
    let named = gateway("b", 3, "HTTPS", "x.org", SECURE);
    let plain = gateway("c", 4, "HTTP", "'*'", "");
    let expected = [
        (Vec::new(), "https.443.z.z.default".to_owned()),
        (vec!["x.org".to_owned()], "https.443.b.b.default".to_owned()),
    ];
    assert_eq!(chains(&[first, second, named, plain].concat()), expected);
}

/// The listener filters and the HTTP settings of a gateway in this mesh that says this of itself.
fn edge(mesh: &str, own: Option<&str>) -> (Vec<String>, hcm::HttpConnectionManager) {
    let mesh = format!(
        "
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: '{mesh}'}}
"
    );
    let mesh = Mesh::new(&(gateway("a", 1, "HTTPS", "x.org", SECURE) + &mesh));
    let proxy = proxy(NodeKind::Router, "default").before_which(own);
    let all = generate(&mesh.0, &proxy);
    let found = all.get(Kind::Listener, "0.0.0.0_443").expect("a listener");
    let listener = lds::Listener::decode(found.body.value.as_slice()).unwrap();
    let Some(ConfigType::TypedConfig(any)) = &listener.filter_chains[0].filters[0].config_type else {
        panic!("no configuration")
    };
    let names = listener.listener_filters.iter().map(|filter| filter.name.clone()).collect();
    (names, hcm::HttpConnectionManager::decode(any.value.as_slice()).unwrap())
}

#[test]
fn what_stands_before_a_gateway_is_said_by_itself_or_by_the_mesh() {
    use hcm::http_connection_manager::ForwardClientCertDetails as Forward;
    const HEADER: &str = "envoy.filters.listener.proxy_protocol";
    const TLS: &str = "envoy.filters.listener.tls_inspector";
    let of_mesh = "defaultConfig: {gatewayTopology: {numTrustedProxies: 2, proxyProtocol: {}}}";
    let (filters, http) = edge(of_mesh, None);
    assert_eq!(filters, [HEADER, TLS], "the header comes first");
    assert_eq!((http.xff_num_trusted_hops, http.forward_client_cert_details()), (2, Forward::SanitizeSet));
    let (filters, http) = edge(of_mesh, Some("{numTrustedProxies: 1, forwardClientCertDetails: FORWARD_ONLY}"));
    assert_eq!(filters, [TLS], "its own word counts alone");
    assert_eq!((http.xff_num_trusted_hops, http.forward_client_cert_details()), (1, Forward::ForwardOnly));
}
