use std::collections::HashMap;

use envoy_types::pb::envoy::config::cluster::v3::{CircuitBreakers, Cluster, circuit_breakers::Thresholds, cluster};
use envoy_types::pb::envoy::config::core::v3::{Metadata, TransportSocket, transport_socket::ConfigType};
use envoy_types::pb::envoy::config::rbac::v3::{Permission, permission};
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
use envoy_types::pb::google::protobuf::{self as pb, UInt32Value, value};
use proptest::prelude::*;
use prost::Message;

use super::*;

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

fn pack<M: Message>(name: &str, message: &M) -> pb::Any {
    pb::Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

fn json(name: &str, bytes: &[u8]) -> Result<Value, Unreadable> {
    Messages::read().json(name, bytes)
}

fn told(cluster: &Cluster) -> Value {
    json(CLUSTER, &cluster.encode_to_vec()).unwrap()
}

#[test]
fn fields_have_their_names_enumerations_their_words_and_numbers_their_forms() {
    let thresholds = Thresholds { max_requests: Some(UInt32Value { value: 1024 }), ..Thresholds::default() };
    let text = |text: &str| pb::Value { kind: Some(value::Kind::StringValue(text.to_owned())) };
    let istio = pb::Struct { fields: HashMap::from([("config".to_owned(), text("/apis/x"))]) };
    let cluster = Cluster {
        name: "outbound|80||cart".to_owned(),
        cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(cluster::DiscoveryType::Eds as i32)),
        connect_timeout: Some(pb::Duration { seconds: 10, nanos: 0 }),
        lb_policy: cluster::LbPolicy::LeastRequest as i32,
        circuit_breakers: Some(CircuitBreakers { thresholds: vec![thresholds], ..CircuitBreakers::default() }),
        metadata: Some(Metadata {
            filter_metadata: HashMap::from([("istio".to_owned(), istio)]),
            ..Metadata::default()
        }),
        ..Cluster::default()
    };
    let expected = json!({
        "name": "outbound|80||cart",
        "type": "EDS",
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [{"max_requests": 1024}]},
        "metadata": {"filter_metadata": {"istio": {"config": "/apis/x"}}},
    });
    assert_eq!(told(&cluster), expected);
}

#[test]
fn a_message_of_any_type_says_of_which() {
    let tls = UpstreamTlsContext { sni: "cart".to_owned(), ..UpstreamTlsContext::default() };
    let name = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
    let socket = |config| TransportSocket { config_type: Some(ConfigType::TypedConfig(config)), ..Default::default() };
    let of = |config| told(&Cluster { transport_socket: Some(socket(config)), ..Cluster::default() });
    let typed = |config| of(config)["transport_socket"]["typed_config"].clone();
    let url = format!("type.googleapis.com/{name}");
    assert_eq!(typed(pack(name, &tls)), json!({"@type": url, "sni": "cart"}));
    let seconds = typed(pack("google.protobuf.Duration", &pb::Duration { seconds: 3, nanos: 0 }));
    assert_eq!(seconds, json!({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}));
    let unknown = typed(pack("acme.Rocket", &tls));
    assert_eq!(
        unknown,
        json!({"@type": "type.googleapis.com/acme.Rocket", "value": STANDARD.encode(tls.encode_to_vec())})
    );
}

#[test]
fn what_is_repeated_may_be_packed() {
    // `retriable_status_codes`, a repeated uint32, packed and not.
    let name = "envoy.config.route.v3.RetryPolicy";
    let codes = |bytes: &[u8]| json(name, bytes).unwrap()["retriable_status_codes"].clone();
    assert_eq!(codes(&[0x3a, 3, 0xf7, 0x03, 0x05]), json!([503, 5]));
    assert_eq!(codes(&[0x38, 0xf7, 0x03, 0x38, 0x05]), json!([503, 5]));
}

#[test]
fn what_an_entry_of_a_map_does_not_say_is_the_default() {
    let metadata = |entries: [(&str, pb::Struct); 1]| Metadata {
        filter_metadata: entries.map(|(key, value)| (key.to_owned(), value)).into(),
        ..Metadata::default()
    };
    let of = |metadata| told(&Cluster { metadata: Some(metadata), ..Cluster::default() })["metadata"].clone();
    assert_eq!(of(metadata([("istio", pb::Struct::default())])), json!({"filter_metadata": {"istio": {}}}));
    assert_eq!(of(metadata([("", pb::Struct::default())])), json!({"filter_metadata": {"": {}}}));
    let null = pb::Struct { fields: HashMap::from([("x".to_owned(), pb::Value::default())]) };
    assert_eq!(of(metadata([("a", null)])), json!({"filter_metadata": {"a": {"x": null}}}));
}

#[test]
fn what_is_no_message_is_refused_by_its_type() {
    assert_eq!(json("acme.Rocket", &[]), Err(Unreadable::Unknown("acme.Rocket".to_owned())));
    for bytes in [&[0x0a, 9][..], &[0x08, 1], &[0x0a, 1, 0xff]] {
        assert_eq!(json(CLUSTER, bytes), Err(Unreadable::Malformed(CLUSTER)));
    }
}

#[test]
fn messages_without_end_are_refused() {
    let deep = (0..200)
        .fold(Permission::default(), |inner, _| Permission { rule: Some(permission::Rule::NotRule(Box::new(inner))) });
    let name = "envoy.config.rbac.v3.Permission";
    assert_eq!(json(name, &deep.encode_to_vec()), Err(Unreadable::TooDeep(name)));
}

#[test]
fn numbers_that_json_has_not_are_words() {
    let all = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 0.1].map(|number| floating(&number.to_string()));
    assert_eq!(Value::from(all.to_vec()), json!(["Infinity", "-Infinity", "NaN", 0.1]));
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for name in [CLUSTER, "envoy.config.listener.v3.Listener", "google.protobuf.Struct", well_known::ANY] {
            let _ = json(name, &bytes);
        }
    }

    #[test]
    fn damaged_messages_never_panic(at in 0_usize..200, byte in any::<u8>()) {
        let rbac = pack("envoy.extensions.filters.network.rbac.v3.RBAC", &Rbac { stat_prefix: "x.".to_owned(), ..Rbac::default() });
        let socket = TransportSocket { config_type: Some(ConfigType::TypedConfig(rbac)), ..Default::default() };
        let cluster = Cluster { name: "c".to_owned(), transport_socket: Some(socket), ..Cluster::default() };
        let mut bytes = cluster.encode_to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = json(CLUSTER, &bytes);
    }
}
