use super::*;
use crate::model::{Policy, ServerKeys, TlsWhen, UpstreamTls};

/// Where in a dump a message of any type stands that does not say of which, and how many say it.
fn untyped(value: &Value, at: &str, typed: &mut usize) -> Vec<String> {
    let Value::Object(members) = value else {
        let Value::Array(values) = value else { return Vec::new() };
        return values.iter().flat_map(|value| untyped(value, at, typed)).collect();
    };
    let mut all = Vec::new();
    for (name, value) in members {
        let at = format!("{at}/{name}");
        let any = match name.as_str() {
            "typed_config" | "listener" | "cluster" | "route_config" | "endpoint_config" | "secret" => {
                value.is_object()
            }
            name => name.starts_with("envoy.extensions."),
        };
        // Only what stands by itself: a listener's own routes are a message of a known type.
        let any = any && !(name == "route_config" && at.contains("/filters/"));
        match value.get("@type") {
            Some(_) if any => *typed += 1,
            None if any => all.push(at.clone()),
            _ => {}
        }
        all.extend(untyped(value, &at, typed));
    }
    all
}

#[test]
fn every_message_of_any_type_says_of_which() {
    let policies = Rbac { action: PolicyAction::Deny, policies: Vec::new(), shadow: false };
    let mut snapshot = crate::http::live::tests::snapshot("inbound_0.0.0.0_80", true, vec![policies.into()]);
    let mut cluster = crate::upstream::tests::cluster(Discovery::OriginalDst);
    let tls = UpstreamTls {
        certificate: Some(SecretName::Workload),
        roots: Some(SecretName::MeshRoots),
        crl: None,
        identities: Arc::new([]),
        sans: Vec::new(),
        sni: Some("reviews".into()),
        alpn: Vec::new(),
        istio: true,
    };
    cluster.tls = vec![(TlsWhen::Always, Arc::new(tls))];
    snapshot.clusters.insert("c".into(), Arc::new(cluster));
    snapshot.routes.insert("80".into(), Arc::default());
    snapshot.endpoints.insert("c".into(), Arc::default());
    let mut typed = 0;
    snapshot.secrets.insert(SecretName::Workload, Arc::default());
    assert_eq!(untyped(&Value::Array(configs(&snapshot, &Node::of_test())), "", &mut typed), [""; 0]);
    let all = "listener, its two filters and its TLS; cluster, its protocol and its TLS; routes; endpoints; secret";
    assert_eq!(typed, 10, "{all}");
}

#[test]
fn names_are_where_tools_look_and_keys_nowhere() {
    let mut snapshot = Snapshot::default();
    let mut config = RouteConfig { name: "80".into(), ..RouteConfig::default() };
    let host = VirtualHost { name: "reviews:80".into(), ..VirtualHost::default() };
    config.add_host(Arc::new(host), &["reviews".to_owned(), "reviews.shop".to_owned()], "reviews");
    snapshot.routes.insert("80".into(), Arc::new(config));
    let keys = ServerKeys { chain_pem: b"CHAIN".to_vec(), key_pem: b"KEY".to_vec() };
    let secrets = TlsSecrets { keys: Some(keys), ..TlsSecrets::default() };
    snapshot.secrets.insert(SecretName::Workload, Arc::new(secrets));
    let roots = TlsSecrets { roots_pem: Some(b"ROOT".to_vec()), ..TlsSecrets::default() };
    snapshot.secrets.insert(SecretName::MeshRoots, Arc::new(roots));
    let dump = Value::Array(configs(&snapshot, &Node::of_test()));
    let at = |pointer: &str| dump.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/3/dynamic_route_configs/0/route_config/virtual_hosts/0/name"), "reviews:80");
    let domains = at("/3/dynamic_route_configs/0/route_config/virtual_hosts/0/domains");
    assert_eq!(domains, json!(["reviews", "reviews.shop"]));
    let names = [0, 1].map(|index| at(&format!("/4/dynamic_active_secrets/{index}/name")));
    assert_eq!(names, ["ROOTCA", "default"]);
    let bytes = |pointer: &str| at(&format!("/4/dynamic_active_secrets/{pointer}/inline_bytes"));
    assert_eq!(bytes("0/secret/validation_context/trusted_ca"), STANDARD.encode("ROOT"));
    assert_eq!(bytes("1/secret/tls_certificate/certificate_chain"), STANDARD.encode("CHAIN"));
    let text = dump.to_string();
    assert!(!text.contains("KEY") && !text.contains(&STANDARD.encode("KEY")), "{text}");
}

#[test]
fn policies_are_told_by_name_under_what_they_do() {
    let policy = Policy { name: "ns[shop]-policy[web]-rule[0]".into(), permissions: vec![], principals: vec![] };
    let filter = rbac("http", &Rbac { action: PolicyAction::Deny, policies: vec![policy], shadow: false });
    let rules = &filter["typed_config"]["rules"];
    assert_eq!(rules, &json!({"action": "DENY", "policies": {"ns[shop]-policy[web]-rule[0]": {}}}));
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
