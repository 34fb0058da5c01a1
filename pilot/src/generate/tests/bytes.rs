//! How connections are carried that nobody reads.

use envoy_types::pb::envoy::config::cluster::v3::cluster::LbPolicy;
use envoy_types::pb::envoy::config::listener::v3 as lds;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use envoy_types::pb::envoy::r#type::v3::hash_policy::PolicySpecifier;

use super::*;

/// The filter that carries what is sent to the service.
fn carrier(mesh: &Mesh) -> TcpProxy {
    let found = mesh.resource("default", Kind::Listener, "10.96.0.1_80").expect("a listener");
    let listener = lds::Listener::decode(found.body.value.as_slice()).unwrap();
    let Some(lds::filter::ConfigType::TypedConfig(any)) = &listener.filter_chains[0].filters[0].config_type else {
        panic!("no configuration")
    };
    TcpProxy::decode(any.value.as_slice()).unwrap()
}

#[test]
fn connections_of_one_caller_stay_together_if_the_rule_says_so() {
    let with = |policy: &str| {
        let rule = rule("web", "default", &format!("{{host: web, trafficPolicy: {{{policy}}}}}"));
        Mesh::new(&format!("{}{rule}", web("clusterIP: 10.96.0.1")))
    };
    let mesh = with("loadBalancer: {consistentHash: {useSourceIp: true}}, connectionPool: {tcp: {idleTimeout: 9s}}");
    let carried = carrier(&mesh);
    assert!(matches!(carried.hash_policy[0].policy_specifier, Some(PolicySpecifier::SourceIp(_))));
    assert_eq!(carried.idle_timeout.map(|idle| idle.seconds), Some(9));
    assert_eq!(mesh.cluster("default", WEB).lb_policy, LbPolicy::RingHash as i32);
    let affine = |more: &str| Mesh::new(&format!("{}{more}", web("clusterIP: 10.96.0.1, sessionAffinity: ClientIP")));
    let other = rule("web", "default", "{host: web, trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}");
    for mesh in [affine(""), affine(&other)] {
        assert!(matches!(carrier(&mesh).hash_policy[0].policy_specifier, Some(PolicySpecifier::SourceIp(_))));
        assert_eq!(mesh.cluster("default", WEB).lb_policy, LbPolicy::RingHash as i32, "the Service says so");
    }
    let said = rule("web", "default", "{host: web, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}");
    assert!(carrier(&affine(&said)).hash_policy.is_empty(), "a rule counts before the Service");
    for others in ["loadBalancer: {consistentHash: {httpHeaderName: x}}", "loadBalancer: {simple: RANDOM}"] {
        assert!(carrier(&with(others)).hash_policy.is_empty(), "{others}");
    }
}
