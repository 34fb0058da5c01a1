//! From YAML to clusters and endpoints: who is called, on whose terms, over what.

mod bytes;
mod edge;
mod mutual_tls;

use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3 as cds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType;
use envoy_types::pb::envoy::config::endpoint::v3 as eds;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use mesh_types::{NodeId, NodeKind};
use prost::Message;

use super::*;

struct Mesh(World);

impl Mesh {
    fn new(yaml: &str) -> Self {
        let loaded = galley::load(&"test.yaml".into(), yaml);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        Self(World::build(&Arc::new(galley::Objects::new(loaded.objects))))
    }

    fn resource(&self, namespace: &str, kind: Kind, name: &str) -> Option<Resource> {
        one(&self.0, &proxy(NodeKind::Sidecar, namespace).scoped(&self.0), kind, name)
    }

    fn cluster(&self, namespace: &str, name: &str) -> cds::Cluster {
        let found = self.resource(namespace, Kind::Cluster, name).unwrap_or_else(|| panic!("no cluster {name}"));
        cds::Cluster::decode(found.body.value.as_slice()).unwrap()
    }

    /// By priority: the weight and the addresses of each locality.
    fn endpoints(&self, namespace: &str, name: &str) -> Vec<(u32, u32, Vec<String>)> {
        let found = self.resource(namespace, Kind::Endpoints, name).unwrap_or_else(|| panic!("no endpoints {name}"));
        let found = eds::ClusterLoadAssignment::decode(found.body.value.as_slice()).unwrap();
        let group = |group: &eds::LocalityLbEndpoints| {
            let weight = group.load_balancing_weight.map_or(0, |weight| weight.value);
            (group.priority, weight, group.lb_endpoints.iter().map(address).collect())
        };
        found.endpoints.iter().map(group).collect()
    }

    fn addresses(&self, namespace: &str, name: &str) -> Vec<String> {
        self.endpoints(namespace, name).into_iter().flat_map(|(_, _, addresses)| addresses).collect()
    }

    /// Which of the endpoints are called over mutual TLS.
    fn secured(&self, name: &str) -> Vec<String> {
        let found = self.resource("default", Kind::Endpoints, name).unwrap();
        let found = eds::ClusterLoadAssignment::decode(found.body.value.as_slice()).unwrap();
        let all = found.endpoints.iter().flat_map(|group| &group.lb_endpoints);
        let takes = |one: &&eds::LbEndpoint| {
            one.metadata.as_ref().unwrap().filter_metadata.contains_key("envoy.transport_socket_match")
        };
        all.filter(takes).map(address).collect()
    }
}

fn proxy(kind: NodeKind, namespace: &str) -> Proxy {
    let id = NodeId {
        kind,
        ip: [10, 0, 0, 99].into(),
        workload: "client".into(),
        namespace: namespace.into(),
        domain: format!("{namespace}.svc.cluster.local"),
    };
    Proxy::new(id, [("version".to_owned(), "v1".to_owned())].into(), true)
}

fn address(endpoint: &eds::LbEndpoint) -> String {
    let Some(HostIdentifier::Endpoint(inner)) = &endpoint.host_identifier else { panic!("no endpoint") };
    match &inner.address.as_ref().unwrap().address {
        Some(Address::SocketAddress(socket)) => socket.address.clone(),
        other => panic!("{other:?}"),
    }
}

fn kind(cluster: &cds::Cluster) -> DiscoveryType {
    match cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(kind).unwrap(),
        _ => panic!("no type"),
    }
}

/// Server name and accepted names of a cluster's own TLS.
fn asks(cluster: &cds::Cluster) -> (String, Vec<String>) {
    let Some(ConfigType::TypedConfig(any)) = &cluster.transport_socket.as_ref().expect("no TLS").config_type else {
        panic!("no configuration")
    };
    let context = tls::UpstreamTlsContext::decode(any.value.as_slice()).unwrap();
    let Some(tls::common_tls_context::ValidationContextType::CombinedValidationContext(combined)) =
        context.common_tls_context.unwrap().validation_context_type
    else {
        panic!("nobody is tested")
    };
    let sans = combined.default_validation_context.unwrap().match_typed_subject_alt_names;
    let name = |san: tls::SubjectAltNameMatcher| match san.matcher.unwrap().match_pattern {
        Some(MatchPattern::Exact(name)) => name,
        Some(MatchPattern::Suffix(name)) => format!("*{name}"),
        other => panic!("{other:?}"),
    };
    (context.sni, sans.into_iter().map(name).collect())
}

fn pod(name: &str, ip: &str, more: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: web, security.istio.io/tlsMode: istio, {more}}}}}
spec: {{serviceAccountName: web, nodeName: node-{name}, containers: []}}
status: {{phase: Running, podIP: {ip}, conditions: [{{type: Ready, status: 'True'}}]}}
"
    )
}

fn node(pod: &str, region: &str, zone: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Node
metadata: {{name: node-{pod}, labels: {{topology.kubernetes.io/region: {region}, topology.kubernetes.io/zone: {zone}}}}}
"
    )
}

fn rule(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"
    )
}

fn entry(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"
    )
}

fn web(spec: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{name: tcp, port: 80, protocol: TCP}}], {spec}}}
"
    )
}

const WEB: &str = "outbound|80||web.default.svc.cluster.local";

#[test]
fn tls_outside_the_mesh_knows_whom_it_expects() {
    let outside = |hosts: &str, resolution: &str, more: &str| {
        entry(
            "out",
            "default",
            &format!(
                "{{hosts: [{hosts}], ports: [{{number: 443, name: http, protocol: HTTP}}], resolution: {resolution}, {more}}}"
            ),
        )
    };
    let simple = rule("out", "default", "{host: api.example.com, trafficPolicy: {tls: {mode: SIMPLE}}}");
    let host = "outbound|443||api.example.com";
    let mesh = Mesh::new(&(outside("api.example.com", "DNS", "") + &simple));
    assert_eq!(asks(&mesh.cluster("default", host)), ("api.example.com".into(), vec!["api.example.com".into()]));
    let named = outside("api.example.com", "DNS", "subjectAltNames: [a.example.org]");
    let mesh = Mesh::new(&(named + &simple));
    assert_eq!(asks(&mesh.cluster("default", host)), ("api.example.com".into(), vec!["a.example.org".into()]));
    let other =
        rule("out", "default", "{host: api.example.com, trafficPolicy: {tls: {mode: SIMPLE, sni: b.example.org}}}");
    let mesh = Mesh::new(&(outside("api.example.com", "DNS", "") + &other));
    assert_eq!(asks(&mesh.cluster("default", host)), ("b.example.org".into(), vec!["b.example.org".into()]));
    let wild = rule("out", "default", "{host: '*.example.com', trafficPolicy: {tls: {mode: SIMPLE}}}");
    let mesh = Mesh::new(&(outside("'*.example.com'", "NONE", "") + &wild));
    let asked = asks(&mesh.cluster("default", "outbound|443||*.example.com"));
    assert_eq!(asked, (String::new(), vec!["*.example.com".into()]));
}

#[test]
fn who_asks_for_plain_text_gets_it() {
    let policy = |namespace: &str, spec: &str| {
        format!(
            "\n---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {spec}\n"
        )
    };
    let shop = web("clusterIP: 10.96.0.1") + &pod("a", "10.0.0.1", "") + &pod("b", "10.0.0.2", "version: v1");
    let secured = |more: &str| Mesh::new(&(shop.clone() + more)).secured(WEB);
    assert_eq!(secured(""), ["10.0.0.1", "10.0.0.2"]);
    assert!(secured(&policy("istio-system", "{mtls: {mode: DISABLE}}")).is_empty());
    assert!(secured(&policy("default", "{mtls: {mode: DISABLE}}")).is_empty());
    let one = policy("default", "{selector: {matchLabels: {version: v1}}, mtls: {mode: DISABLE}}");
    assert_eq!(secured(&one), ["10.0.0.1"]);
    let port = policy("default", "{selector: {matchLabels: {version: v1}}, portLevelMtls: {80: {mode: DISABLE}}}");
    assert_eq!(secured(&port), ["10.0.0.1"]);
    assert_eq!(secured(&policy("elsewhere", "{mtls: {mode: DISABLE}}")), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn terms_are_the_clients_the_services_or_the_meshs() {
    let shop = web("clusterIP: 10.96.0.1") + &pod("a", "10.0.0.1", "");
    let host = "host: web.default.svc.cluster.local";
    let timeout = |more: &str, namespace: &str| {
        let tcp = Mesh::new(&(shop.clone() + more)).cluster(namespace, WEB).connect_timeout.unwrap();
        tcp.seconds
    };
    let terms = |name: &str, namespace: &str, host: &str, seconds: u32| {
        let pool = format!("connectionPool: {{tcp: {{connectTimeout: {seconds}s}}}}");
        rule(name, namespace, &format!("{{{host}, trafficPolicy: {{{pool}}}}}"))
    };
    let stranger = terms("a", "stranger", host, 1);
    assert_eq!((timeout(&stranger, "default"), timeout(&stranger, "client")), (10, 10), "a stranger has no say");
    assert_eq!(timeout(&stranger, "stranger"), 1);
    let root = terms("a", "istio-system", "host: '*.local'", 2);
    let service = terms("s", "default", host, 3);
    assert_eq!(timeout(&root, "client"), 2);
    assert_eq!(timeout(&(root + &service), "client"), 3);
    let wide = terms("a", "default", "host: '*.local'", 4);
    let narrow = terms("b", "default", "host: '*.svc.cluster.local'", 5);
    assert_eq!(timeout(&(wide.clone() + &narrow), "client"), 5, "the longer wildcard says more");
    assert_eq!(timeout(&(wide + &service), "client"), 3);
    let subsets = rule("z", "default", &format!("{{{host}, subsets: [{{name: v1, labels: {{version: v1}}}}]}}"));
    let both = Mesh::new(&(shop.clone() + &service + &subsets));
    let v1 = both.cluster("client", "outbound|80|v1|web.default.svc.cluster.local");
    assert_eq!(v1.connect_timeout.unwrap().seconds, 3, "two rules for one host are one");
    let mesh = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'defaultDestinationRuleExportTo: [\".\"]'}\n";
    assert_eq!(timeout(&(service + mesh), "client"), 10, "kept to its namespace by default");
}

#[test]
fn who_calls_a_member_of_a_headless_service_gets_that_member() {
    let shop = web("clusterIP: None") + &pod("a", "10.0.0.1", "") + &pod("b", "10.0.0.2", "");
    let mesh = Mesh::new(&shop);
    let cluster = mesh.cluster("default", WEB);
    assert_eq!(kind(&cluster), DiscoveryType::OriginalDst);
    let (sni, names) = asks(&cluster);
    assert_eq!(sni, "outbound_.80_._.web.default.svc.cluster.local");
    assert_eq!(names, ["spiffe://cluster.local/ns/default/sa/web"]);
    assert!(mesh.resource("default", Kind::Listener, "10.0.0.1_80").is_some());
    assert!(mesh.resource("default", Kind::Endpoints, WEB).is_none());
    let gateway = proxy(NodeKind::Router, "default").scoped(&mesh.0);
    assert!(one(&mesh.0, &gateway, Kind::Endpoints, WEB).is_some(), "a gateway has nothing to be taken at its word by");
    let bare = pod("c", "10.0.0.3", "").replace("security.istio.io/tlsMode: istio, ", "");
    assert!(Mesh::new(&(shop + &bare)).cluster("default", WEB).transport_socket.is_none(), "not all of them take it");
}

#[test]
fn each_name_of_an_entry_is_itself() {
    let spec = "{hosts: [a.example.com, b.example.com], ports: [{number: 80, name: http, protocol: HTTP}, {number: 53, name: udp, protocol: UDP}], resolution: DNS}";
    let mesh = Mesh::new(&entry("out", "default", spec));
    for host in ["a.example.com", "b.example.com"] {
        let cluster = mesh.cluster("default", &format!("outbound|80||{host}"));
        let names: Vec<_> = cluster.load_assignment.unwrap().endpoints[0].lb_endpoints.iter().map(address).collect();
        assert_eq!(
            (kind(&mesh.cluster("default", &format!("outbound|80||{host}"))), names),
            (DiscoveryType::StrictDns, vec![host.to_owned()])
        );
    }
    assert!(mesh.resource("default", Kind::Cluster, "outbound|53||a.example.com").is_none());
    let turns = entry("out", "default", &spec.replace("DNS", "DNS_ROUND_ROBIN"));
    assert_eq!(kind(&Mesh::new(&turns).cluster("default", "outbound|80||a.example.com")), DiscoveryType::LogicalDns);
}

#[test]
fn several_entries_of_a_host_are_one_service() {
    let spec = |port: u16, address: &str, more: &str| {
        format!(
            "{{hosts: [db.example.com], ports: [{{number: {port}, name: tcp, protocol: TCP}}], resolution: STATIC, endpoints: [{{address: {address}}}], {more}}}"
        )
    };
    let mesh = Mesh::new(
        &[
            entry("a", "default", &spec(80, "192.0.2.1", "")),
            entry("b", "default", &spec(80, "192.0.2.2", "")),
            entry("c", "default", &spec(81, "192.0.2.3", "")),
            entry("d", "other", &spec(80, "192.0.2.4", "exportTo: ['.']")),
        ]
        .concat(),
    );
    assert_eq!(mesh.addresses("default", "outbound|80||db.example.com"), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(mesh.addresses("default", "outbound|81||db.example.com"), ["192.0.2.3"]);
    assert_eq!(mesh.addresses("other", "outbound|80||db.example.com"), ["192.0.2.4"]);
    let hidden = Mesh::new(
        &[
            entry("a", "aaa", &spec(80, "192.0.2.1", "exportTo: ['.']")),
            entry("b", "default", &spec(80, "192.0.2.2", "")),
        ]
        .concat(),
    );
    assert_eq!(hidden.addresses("client", "outbound|80||db.example.com"), ["192.0.2.2"]);
    let kubernetes = web("clusterIP: 10.96.0.1")
        + &pod("a", "10.0.0.1", "")
        + &entry(
            "more",
            "default",
            &spec(80, "192.0.2.9", "").replace("db.example.com", "web.default.svc.cluster.local"),
        );
    assert_eq!(Mesh::new(&kubernetes).addresses("default", WEB), ["10.0.0.1", "192.0.2.9"]);
}

#[test]
fn workloads_by_hand_are_workloads() {
    let workload = |labels: &str, spec: &str| {
        format!(
            "\n---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {{name: vm, labels: {labels}}}\nspec: {spec}\n"
        )
    };
    let secured = |labels: &str, spec: &str| {
        let mesh = Mesh::new(&(web("clusterIP: 10.96.0.1") + &workload(labels, spec)));
        (mesh.addresses("default", WEB), mesh.secured(WEB).len())
    };
    let there = vec!["192.0.2.1".to_owned()];
    assert_eq!(secured("{app: web}", "{address: 192.0.2.1}"), (there.clone(), 0));
    assert_eq!(secured("{}", "{address: 192.0.2.1, labels: {app: web}, serviceAccount: vm}"), (there.clone(), 1));
    let off = "{app: web, security.istio.io/tlsMode: disabled}";
    assert_eq!(secured(off, "{address: 192.0.2.1, serviceAccount: vm}"), (there, 0));
    assert_eq!(secured("{app: other}", "{address: 192.0.2.1}"), (vec![], 0));
}

#[test]
fn endpoints_are_the_pods_that_they_name() {
    let slice = |family: &str, endpoints: &str| {
        format!(
            "\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: web-{}, labels: {{kubernetes.io/service-name: web}}}}\naddressType: {family}\nports: [{{name: tcp, port: 8080}}]\nendpoints: {endpoints}\n",
            family.to_lowercase()
        )
    };
    let shop = web("clusterIP: 10.96.0.1") + &pod("a", "10.0.0.1", "") + &pod("b", "10.0.0.2", "");
    let named = |ip: &str, name: &str| format!("{{addresses: [{ip}], targetRef: {{kind: Pod, name: {name}}}}}");
    let v4 = slice("IPv4", &format!("[{}, {}]", named("10.0.0.1", "a"), named("10.0.0.9", "gone")));
    let v6 = slice("IPv6", &format!("[{}]", named("'fd00::1'", "a")));
    let mesh = Mesh::new(&(shop.clone() + &v6 + &v4));
    assert_eq!(mesh.addresses("default", WEB), ["10.0.0.1"], "once, and nobody of whom nothing is known");
    assert_eq!(mesh.secured(WEB), ["10.0.0.1"]);
    let other = slice("IPv4", &format!("[{}]", named("10.0.0.1", "a"))).replace("name: tcp, port", "name: admin, port");
    assert!(Mesh::new(&(shop.clone() + &other)).addresses("default", WEB).is_empty(), "a port of another name");
    let unready =
        slice("IPv4", "[{addresses: [10.0.0.1], conditions: {ready: false}, targetRef: {kind: Pod, name: a}}]");
    assert!(Mesh::new(&(shop.clone() + &unready)).addresses("default", WEB).is_empty());
    let published = shop.replace("clusterIP: 10.96.0.1", "clusterIP: 10.96.0.1, publishNotReadyAddresses: true");
    assert_eq!(Mesh::new(&(published + &unready)).addresses("default", WEB), ["10.0.0.1"]);
}

#[test]
fn an_alias_is_what_it_names() {
    let alias = |to: &str| {
        format!(
            "\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: alias}}\nspec: {{type: ExternalName, externalName: {to}, externalIPs: [10.9.9.9], ports: [{{name: http, port: 80}}]}}\n"
        )
    };
    let name = "outbound|80||alias.default.svc.cluster.local";
    let shop = web("clusterIP: 10.96.0.1") + &pod("a", "10.0.0.1", "");
    let inside = Mesh::new(&(shop.clone() + &alias("web.default.svc.cluster.local")));
    assert_eq!(inside.addresses("default", name), ["10.0.0.1"]);
    let outside = Mesh::new(&(shop + &alias("db.example.com")));
    let cluster = outside.cluster("default", name);
    assert_eq!(kind(&cluster), DiscoveryType::StrictDns);
    assert!(cluster.transport_socket_matches.is_empty());
    let endpoints = cluster.load_assignment.unwrap().endpoints;
    assert_eq!(address(&endpoints[0].lb_endpoints[0]), "db.example.com");
    assert!(outside.0.at_address([10, 9, 9, 9].into()).next().is_none());
}

/// The client at 10.0.0.99 runs in eu/eu-1.
fn places(more: &str) -> Mesh {
    let pods = [
        ("here", "10.0.0.1", "eu", "eu-1"),
        ("near", "10.0.0.2", "eu", "eu-2"),
        ("far", "10.0.0.3", "us", "us-1"),
        ("asia", "10.0.0.4", "asia", "asia-1"),
        ("client", "10.0.0.99", "eu", "eu-1"),
    ];
    let pods = pods.map(|(name, ip, region, zone)| {
        let pod = pod(name, ip, if name == "far" { "version: v1" } else { "version: v2" });
        let pod = if name == "client" { pod.replace("app: web, ", "") } else { pod };
        pod + &node(name, region, zone)
    });
    let service = if more.contains("kind: Service\n") { String::new() } else { web("clusterIP: 10.96.0.1") };
    Mesh::new(&(service + more + &pods.concat()))
}

fn ranked(mesh: &Mesh) -> Vec<(u32, String)> {
    let groups = mesh.endpoints("default", WEB);
    groups.into_iter().flat_map(|(rank, _, addresses)| addresses.into_iter().map(move |one| (rank, one))).collect()
}

fn ranks(expected: [(u32, &str); 4]) -> Vec<(u32, String)> {
    expected.map(|(rank, address)| (rank, address.to_owned())).to_vec()
}

#[test]
fn the_near_are_taken_first_where_failures_are_noticed() {
    let outliers = |balancer: &str| {
        rule(
            "web",
            "default",
            &format!("{{host: web, trafficPolicy: {{outlierDetection: {{}}, loadBalancer: {{{balancer}}}}}}}"),
        )
    };
    let alike: Vec<u32> = ranked(&places("")).into_iter().map(|(rank, _)| rank).collect();
    assert_eq!(alike, [0, 0, 0, 0]);
    let by_place = [(0, "10.0.0.1"), (1, "10.0.0.2"), (2, "10.0.0.4"), (2, "10.0.0.3")];
    assert_eq!(ranked(&places(&outliers(""))), ranks(by_place));
    let resort = outliers("localityLbSetting: {failover: [{from: eu, to: us}]}");
    let by_resort = [(0, "10.0.0.1"), (1, "10.0.0.2"), (2, "10.0.0.3"), (3, "10.0.0.4")];
    assert_eq!(ranked(&places(&resort)), ranks(by_resort));
    let labels = outliers("localityLbSetting: {failoverPriority: [version, topology.kubernetes.io/region]}");
    let by_label = ranked(&places(&labels));
    assert_eq!(by_label[0], (0, "10.0.0.3".to_owned()), "far away, but of the client's version");
    let off = outliers("localityLbSetting: {enabled: false}");
    assert!(ranked(&places(&off)).iter().all(|(rank, _)| *rank == 0));
    let mesh = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'localityLbSetting: {failover: [{from: eu, to: us}]}'}\n";
    assert_eq!(ranked(&places(&(outliers("") + mesh))), ranks(by_resort));
}

#[test]
fn places_get_the_shares_that_were_given() {
    let shares = "{distribute: [{from: eu/*, to: {eu/eu-1/*: 70, eu: 20, 'us/*': 10}}]}";
    let mesh = places(&rule(
        "web",
        "default",
        &format!("{{host: web, trafficPolicy: {{loadBalancer: {{localityLbSetting: {shares}}}}}}}"),
    ));
    let mut found: Vec<_> =
        mesh.endpoints("default", WEB).into_iter().map(|(_, weight, to)| (weight, to.concat())).collect();
    found.sort();
    assert_eq!(found, [(10, "10.0.0.3".into()), (20, "10.0.0.2".into()), (70, "10.0.0.1".into())]);
    let common = mesh.cluster("default", WEB).common_lb_config.unwrap();
    assert!(common.locality_config_specifier.is_some(), "weights count only where the cluster says so");
}

#[test]
fn services_say_how_near_their_callers_stay() {
    let close = places(&web("clusterIP: 10.96.0.1, trafficDistribution: PreferClose"));
    assert_eq!(ranked(&close), ranks([(0, "10.0.0.1"), (1, "10.0.0.2"), (2, "10.0.0.4"), (2, "10.0.0.3")]));
    let annotated = web("clusterIP: 10.96.0.1").replace(
        "metadata: {name: web}",
        "metadata: {name: web, annotations: {networking.istio.io/traffic-distribution: PreferClose}}",
    );
    assert_eq!(ranked(&places(&annotated)), ranked(&close), "Istio's annotation says the same");
    let local = places(&(web("clusterIP: 10.96.0.1, internalTrafficPolicy: Local")));
    assert!(ranked(&local).is_empty(), "nobody serves on the client's node");
}

#[test]
fn only_the_namespaces_that_the_mesh_looks_at_are_in_it() {
    let mesh = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'discoverySelectors: [{matchLabels: {mesh: in}}]'}\n";
    let namespace = |label: &str| {
        format!("\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: default, labels: {{mesh: {label}}}}}\n")
    };
    let shop = web("clusterIP: 10.96.0.1") + mesh;
    assert!(Mesh::new(&(shop.clone() + &namespace("in"))).resource("default", Kind::Cluster, WEB).is_some());
    assert!(Mesh::new(&(shop + &namespace("out"))).resource("default", Kind::Cluster, WEB).is_none());
}

#[test]
fn limits_hold_at_the_server_too() {
    let served = web("clusterIP: 10.96.0.1")
        + &pod("a", "10.0.0.99", "")
        + &rule("web", "default", "{host: web, trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}");
    let mesh = Mesh::new(&served);
    let all = generate(&mesh.0, &proxy(NodeKind::Sidecar, "default"));
    let inbound = all.get(Kind::Cluster, "inbound|80||").unwrap();
    let cluster = cds::Cluster::decode(inbound.body.value.as_slice()).unwrap();
    let breakers = cluster.circuit_breakers.unwrap();
    assert_eq!(breakers.thresholds[0].max_connections.unwrap().value, 7);
}
