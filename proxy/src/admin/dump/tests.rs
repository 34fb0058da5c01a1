use envoy_types::pb::envoy::config::cluster::v3 as cds;
use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;

use super::*;
use crate::model::{Discovery, ServerKeys};
use crate::xds::State;

/// What is in force once this was sent.
fn snapshot_of(sent: Vec<(Type, &str, Vec<u8>)>) -> Snapshot {
    let mut state = State::default();
    for (kind, name, value) in sent {
        let resource = Some(Any { type_url: kind.url().to_owned(), value });
        let resource = ads::Resource { name: name.to_owned(), version: "7".to_owned(), resource, ..Default::default() };
        let response = ads::DeltaDiscoveryResponse { resources: vec![resource], ..Default::default() };
        assert_eq!(state.take(kind, response), []);
    }
    let mut snapshot = Snapshot::default();
    state.write(&mut snapshot);
    snapshot
}

fn dump(snapshot: &Snapshot) -> Value {
    configs(snapshot, &Node::of_test()).into()
}

fn host(name: &str, domain: &str) -> rds::VirtualHost {
    rds::VirtualHost { name: name.to_owned(), domains: vec![domain.to_owned()], ..Default::default() }
}

#[test]
fn what_is_in_force_is_told_as_it_was_sent_with_its_version_and_type() {
    let cluster = cds::Cluster {
        name: "cart".to_owned(),
        alt_stat_name: String::new(),
        connect_timeout: Some(envoy_types::pb::google::protobuf::Duration { seconds: 3, nanos: 0 }),
        ..Default::default()
    };
    let told = dump(&snapshot_of(vec![(Type::Cluster, "cart", cluster.encode_to_vec())]));
    let url = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    let expected = json!([{"version_info": "7", "cluster": {"@type": url, "name": "cart", "connect_timeout": "3s"}}]);
    assert_eq!(told[0]["dynamic_active_clusters"], expected);
    assert_eq!(told[0]["@type"], "type.googleapis.com/envoy.admin.v3.ClustersConfigDump");
}

#[test]
fn virtual_hosts_that_were_asked_for_are_told_once_in_their_route() {
    let route = |name: &str, virtual_hosts| rds::RouteConfiguration {
        name: name.to_owned(),
        vhds: Some(rds::Vhds { config_source: Some(Default::default()) }),
        virtual_hosts,
        ..Default::default()
    };
    let own = host("allow_any", "*");
    let snapshot = snapshot_of(vec![
        (Type::Route, "80", route("80", vec![own]).encode_to_vec()),
        (Type::Route, "8080", route("8080", Vec::new()).encode_to_vec()),
        (Type::VirtualHost, "80/reviews.shop", host("reviews:80", "reviews").encode_to_vec()),
        (Type::VirtualHost, "80/reviews", host("reviews:80", "reviews").encode_to_vec()),
        (Type::VirtualHost, "80/cart", host("cart:80", "cart").encode_to_vec()),
        (Type::VirtualHost, "8080/cart", host("cart:8080", "cart").encode_to_vec()),
    ]);
    let told = dump(&snapshot);
    let names = |route: usize| -> Vec<&str> {
        let hosts = told[3]["dynamic_route_configs"][route]["route_config"]["virtual_hosts"].as_array().unwrap();
        hosts.iter().map(|host| host["name"].as_str().unwrap()).collect()
    };
    assert_eq!([names(0), names(1)], [vec!["allow_any", "cart:80", "reviews:80"], vec!["cart:8080"]]);
}

#[test]
fn what_is_gone_is_not_told() {
    let mut state = State::default();
    let cluster = cds::Cluster { name: "c".to_owned(), ..Default::default() }.encode_to_vec();
    let resource = Some(Any { type_url: Type::Cluster.url().to_owned(), value: cluster });
    let resource = ads::Resource { name: "c".to_owned(), resource, ..Default::default() };
    let come = ads::DeltaDiscoveryResponse { resources: vec![resource], ..Default::default() };
    let gone = ads::DeltaDiscoveryResponse { removed_resources: vec!["c".to_owned()], ..Default::default() };
    let told = [come, gone].map(|response| {
        state.take(Type::Cluster, response);
        let mut snapshot = Snapshot::default();
        state.write(&mut snapshot);
        dump(&snapshot)[0]["dynamic_active_clusters"].as_array().unwrap().len()
    });
    assert_eq!(told, [1, 0]);
}

#[test]
fn keys_are_told_nowhere() {
    let named = tls::Secret {
        name: "kubernetes://shop".to_owned(),
        r#type: Some(tls::secret::Type::TlsCertificate(tls::TlsCertificate {
            certificate_chain: Some(inline("CHAIN")),
            private_key: Some(inline("KEY")),
            ..Default::default()
        })),
    };
    let mut snapshot = snapshot_of(vec![(Type::Secret, "kubernetes://shop", named.encode_to_vec())]);
    let keys = ServerKeys { chain_pem: b"CHAIN".to_vec(), key_pem: b"KEY".to_vec() };
    let secrets = TlsSecrets { keys: Some(keys), ..TlsSecrets::default() };
    snapshot.secrets.insert(SecretName::Workload, Arc::new(secrets));
    let roots = TlsSecrets { roots_pem: Some(b"ROOT".to_vec()), ..TlsSecrets::default() };
    snapshot.secrets.insert(SecretName::MeshRoots, Arc::new(roots));
    let told = dump(&snapshot);
    let at = |pointer: &str| told[4]["dynamic_active_secrets"].pointer(pointer).cloned().unwrap_or_default();
    assert_eq!([0, 1, 2].map(|at_| at(&format!("/{at_}/name"))), ["ROOTCA", "default", "kubernetes://shop"]);
    let bytes = |pointer: &str| at(&format!("/{pointer}/inline_bytes"));
    assert_eq!(bytes("0/secret/validation_context/trusted_ca"), STANDARD.encode("ROOT"));
    for one in [1, 2] {
        assert_eq!(bytes(&format!("{one}/secret/tls_certificate/certificate_chain")), STANDARD.encode("CHAIN"));
        assert_eq!(bytes(&format!("{one}/secret/tls_certificate/private_key")), STANDARD.encode("[redacted]"));
    }
    let text = told.to_string();
    assert!(!text.contains("KEY") && !text.contains(&STANDARD.encode("KEY")), "{text}");
}

fn inline(text: &str) -> envoy_types::pb::envoy::config::core::v3::DataSource {
    use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
    DataSource { specifier: Some(Specifier::InlineBytes(text.as_bytes().to_vec())), ..Default::default() }
}

#[test]
fn endpoints_are_told_with_their_clusters() {
    let mut snapshot = Snapshot::default();
    let cluster = crate::upstream::tests::cluster(Discovery::OriginalDst);
    snapshot.clusters.insert("c".into(), Arc::new(cluster));
    snapshot.endpoints.insert("c".into(), Arc::new(crate::upstream::tests::endpoints()));
    let statuses = cluster_statuses(&snapshot);
    let host = &statuses["cluster_statuses"][0]["host_statuses"][0];
    assert_eq!(host["health_status"]["eds_health_status"], "HEALTHY");
    assert!(host["address"]["socket_address"]["port_value"].is_number(), "{statuses}");
}
