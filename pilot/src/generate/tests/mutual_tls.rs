//! How Istio's mutual TLS is spoken, in words that a stock Envoy agrees on.

use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::grpc_service::TargetSpecifier;

use super::*;

fn context(mesh: &Mesh, port: u16) -> tls::CommonTlsContext {
    let cluster = mesh.cluster("default", &format!("outbound|{port}||web.default.svc.cluster.local"));
    let socket = cluster.transport_socket_matches[0].transport_socket.clone().unwrap();
    let Some(ConfigType::TypedConfig(any)) = socket.config_type else { panic!("no configuration") };
    tls::UpstreamTlsContext::decode(any.value.as_slice()).unwrap().common_tls_context.unwrap()
}

fn mesh() -> Mesh {
    Mesh::new(&yaml())
}

fn yaml() -> String {
    let ports = "ports: [{name: http, port: 81}, {name: grpc, port: 82}, {name: tcp, port: 83}, {name: any, port: 84}]";
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{selector: {{app: web}}, {ports}}}}}{}",
        pod("one", "10.0.0.1", "")
    )
}

#[test]
fn what_is_to_come_is_announced_to_filter_chains_and_to_envoy() {
    let mesh = mesh();
    assert_eq!(context(&mesh, 81).alpn_protocols, ["istio-http/1.1", "istio", "http/1.1"]);
    assert_eq!(context(&mesh, 82).alpn_protocols, ["istio-h2", "istio", "h2"]);
    assert_eq!(context(&mesh, 83).alpn_protocols, ["istio"]);
    assert_eq!(context(&mesh, 84).alpn_protocols, ["istio"]);
}

#[test]
fn a_workload_has_its_certificate_from_the_agent_beside_it() {
    let secret = context(&mesh(), 81).tls_certificate_sds_secret_configs.remove(0);
    assert_eq!(secret.name, "default");
    let Some(ConfigSourceSpecifier::ApiConfigSource(source)) = secret.sds_config.unwrap().config_source_specifier
    else {
        panic!("not from an agent")
    };
    let Some(TargetSpecifier::EnvoyGrpc(agent)) = &source.grpc_services[0].target_specifier else {
        panic!("not a cluster of the bootstrap")
    };
    assert_eq!(agent.cluster_name, "sds-grpc");
}

#[test]
fn while_the_trust_domain_changes_certificates_of_both_are_taken() {
    let settings = "
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: '{trustDomain: new.example, trustDomainAliases: [old.example]}'}
";
    let rule = rule("web", "default", "{host: web, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}");
    let mesh = Mesh::new(&format!("{}{}{settings}{rule}", web("clusterIP: 10.96.0.1"), pod("one", "10.0.0.1", "")));
    let (_, names) = asks(&mesh.cluster("default", WEB));
    assert_eq!(names, ["spiffe://new.example/ns/default/sa/web", "spiffe://old.example/ns/default/sa/web"]);
}

#[test]
fn callers_are_announced_ahead_of_tls_and_of_plain_text() {
    use envoy_types::pb::envoy::config::core::v3::{TransportSocket, proxy_protocol_config::Version};
    use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
    let rule = "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, trafficPolicy: {proxyProtocol: {version: V2}}}
";
    let mesh = Mesh::new(&(yaml() + rule));
    let cluster = mesh.cluster("default", "outbound|81||web.default.svc.cluster.local");
    let inner = |socket: &Option<TransportSocket>| {
        let Some(ConfigType::TypedConfig(any)) = socket.clone().unwrap().config_type else {
            panic!("no configuration")
        };
        let outer = ProxyProtocolUpstreamTransport::decode(any.value.as_slice()).unwrap();
        assert_eq!(outer.config.unwrap().version(), Version::V2);
        outer.transport_socket.unwrap().name
    };
    assert_eq!(inner(&cluster.transport_socket), "envoy.transport_sockets.raw_buffer");
    assert_eq!(inner(&cluster.transport_socket_matches[0].transport_socket), "envoy.transport_sockets.tls");
}
