//! `/config_dump` in Envoy's shape, from the model that is in force: what tools look for is where they look for it, and
//! what the model does not keep is not there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::model::{
    Cluster, Discovery, DownstreamTls, EndpointHealth, EndpointSet, FilterChain, LbPolicy, Listener, ListenerKind,
    PathMatch, Route, RouteAction, RouteConfig, RouteSource, SecretName, Snapshot, Terminal, Transport,
    UpstreamProtocol, VirtualHost,
};

const TYPE: &str = "type.googleapis.com/envoy";
const NETWORK_FILTERS: &str = "extensions.filters.network";
const TLS: &str = "extensions.transport_sockets.tls.v3";

/// The whole dump. Keys are never in it.
pub(super) fn configs(snapshot: &Snapshot) -> Vec<Value> {
    let version = snapshot.version.to_string();
    let state = |body: &str, value: Value| json!({"version_info": version, (body): value});
    let listeners = sorted(
        &snapshot.listeners,
        |name, one| json!({"name": name, "active_state": state("listener", any("config.listener.v3.Listener", listener(one)))}),
    );
    let clusters =
        sorted(&snapshot.clusters, |_, one| state("cluster", any("config.cluster.v3.Cluster", cluster(one))));
    let routes = sorted(&snapshot.routes, |_, one| {
        state("route_config", any("config.route.v3.RouteConfiguration", route_config(one)))
    });
    let endpoints = sorted(&snapshot.endpoints, |name, one| {
        state("endpoint_config", any("config.endpoint.v3.ClusterLoadAssignment", endpoints_of(name, one)))
    });
    let mut secrets: Vec<String> = snapshot.secrets.keys().map(secret).collect();
    secrets.sort();
    let secrets: Vec<Value> = secrets.into_iter().map(|name| json!({"name": name})).collect();
    vec![
        any("admin.v3.ClustersConfigDump", json!({"version_info": version, "dynamic_active_clusters": clusters})),
        any("admin.v3.EndpointsConfigDump", json!({"dynamic_endpoint_configs": endpoints})),
        any("admin.v3.ListenersConfigDump", json!({"version_info": version, "dynamic_listeners": listeners})),
        any("admin.v3.RoutesConfigDump", json!({"dynamic_route_configs": routes})),
        any("admin.v3.SecretsConfigDump", json!({"dynamic_active_secrets": secrets})),
    ]
}

fn sorted<T>(all: &hashbrown::HashMap<mesh_types::Name, Arc<T>>, show: impl Fn(&str, &T) -> Value) -> Vec<Value> {
    let mut all: Vec<_> = all.iter().collect();
    all.sort_by(|one, other| one.0.cmp(other.0));
    all.into_iter().map(|(name, one)| show(name, one)).collect()
}

/// A message where any may stand: it says of which type it is, without which Envoy's tools refuse the whole dump.
fn any(message: &str, mut value: Value) -> Value {
    value["@type"] = format!("{TYPE}.{message}").into();
    value
}

/// Without the members that are null.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let present = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(present.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn optional<T: Into<Value>>(value: Option<T>) -> Value {
    value.map_or(Value::Null, Into::into)
}

fn list(values: Vec<Value>) -> Value {
    if values.is_empty() { Value::Null } else { Value::Array(values) }
}

fn seconds(time: Duration) -> Value {
    format!("{}s", time.as_secs_f64()).into()
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn secret(name: &SecretName) -> String {
    match name {
        SecretName::Workload => "default".to_owned(),
        SecretName::MeshRoots => "ROOTCA".to_owned(),
        SecretName::Named(name) => name.to_string(),
        SecretName::Files(chain, key) => format!("file-cert:{chain}~{key}"),
        SecretName::RootsFile(file) => format!("file-root:{file}"),
        SecretName::SystemRoots => "file-root:system".to_owned(),
    }
}

fn listener(one: &Listener) -> Value {
    let more = one.addresses.iter().skip(1).map(|more| json!({"address": address(*more)})).collect();
    object([
        ("name", one.name.to_string().into()),
        ("address", one.addresses.first().map_or(Value::Null, |first| address(*first))),
        ("additional_addresses", list(more)),
        ("bind_to_port", if one.bind { Value::Null } else { false.into() }),
        ("use_original_dst", if one.use_original_dst { true.into() } else { Value::Null }),
        (
            "traffic_direction",
            match one.kind {
                ListenerKind::Inbound => "INBOUND".into(),
                ListenerKind::Outbound => "OUTBOUND".into(),
                ListenerKind::Gateway => Value::Null,
            },
        ),
        ("filter_chains", list(one.chains.iter().map(|chain| filter_chain(chain)).collect())),
        ("default_filter_chain", one.default_chain.as_ref().map_or(Value::Null, |chain| filter_chain(chain))),
    ])
}

fn filter_chain(chain: &FilterChain) -> Value {
    let matches = &chain.matches;
    let words = |words: &[Box<str>]| list(words.iter().map(|word| (**word).into()).collect());
    let condition = object([
        ("destination_port", optional(matches.destination_port)),
        ("server_names", words(&matches.server_names)),
        (
            "transport_protocol",
            match matches.transport {
                Some(Transport::Tls) => "tls".into(),
                Some(Transport::Raw) => "raw_buffer".into(),
                None => Value::Null,
            },
        ),
        ("application_protocols", words(&matches.application_protocols)),
    ]);
    let rbac = chain.rbac.iter().map(|_| json!({"name": "envoy.filters.network.rbac"}));
    let last = match &chain.terminal {
        Terminal::Http(http) => {
            let routes = match &http.routes {
                RouteSource::Rds(name) => ("rds", json!({"route_config_name": **name})),
                RouteSource::Inline(config) => ("route_config", route_config(config)),
            };
            let filters = http.filters.rbac.iter().map(|_| json!({"name": "envoy.filters.http.rbac"})).collect();
            let config =
                object([("stat_prefix", http.stat_prefix.to_string().into()), routes, ("http_filters", list(filters))]);
            let message = format!("{NETWORK_FILTERS}.http_connection_manager.v3.HttpConnectionManager");
            json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": any(&message, config)})
        }
        Terminal::Tcp(proxy) => {
            let cluster = proxy.clusters.first().map(|one| one.name.to_string());
            let config = json!({"stat_prefix": *proxy.stat_prefix, "cluster": cluster});
            let message = format!("{NETWORK_FILTERS}.tcp_proxy.v3.TcpProxy");
            json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": any(&message, config)})
        }
    };
    object([
        ("name", chain.name.to_string().into()),
        ("filter_chain_match", if condition == json!({}) { Value::Null } else { condition }),
        ("transport_socket", chain.tls.as_deref().map_or(Value::Null, downstream_tls)),
        ("filters", rbac.chain([last]).collect()),
    ])
}

fn downstream_tls(tls: &DownstreamTls) -> Value {
    let certificates: Vec<Value> = tls.certificates.iter().map(|name| json!({"name": secret(name)})).collect();
    let alpn: Vec<&str> = tls.alpn.iter().map(|word| &**word).collect();
    let validation = object([
        ("default_validation_context", {
            let crl = tls.client_crl.as_deref().map(|file| json!({"crl": {"filename": file}}));
            crl.unwrap_or_else(|| json!({}))
        }),
        (
            "validation_context_sds_secret_config",
            optional(tls.client_roots.as_ref().map(|name| json!({"name": secret(name)}))),
        ),
    ]);
    let config = json!({
        "require_client_certificate": tls.require_client_certificate,
        "common_tls_context": {
            "alpn_protocols": alpn,
            "tls_certificate_sds_secret_configs": certificates,
            "combined_validation_context": validation,
        },
    });
    socket("DownstreamTlsContext", config)
}

fn socket(context: &str, config: Value) -> Value {
    json!({"name": "envoy.transport_sockets.tls", "typed_config": any(&format!("{TLS}.{context}"), config)})
}

fn cluster(one: &Cluster) -> Value {
    let (kind, eds) = match &one.discovery {
        Discovery::Eds(name) => ("EDS", json!({"eds_config": {"ads": {}}, "service_name": **name})),
        Discovery::Static(_) => ("STATIC", Value::Null),
        Discovery::StrictDns(_) => ("STRICT_DNS", Value::Null),
        Discovery::LogicalDns(_) => ("LOGICAL_DNS", Value::Null),
        Discovery::OriginalDst => ("ORIGINAL_DST", Value::Null),
    };
    let policy = match &one.lb {
        LbPolicy::RoundRobin => "ROUND_ROBIN",
        LbPolicy::LeastRequest(_) => "LEAST_REQUEST",
        LbPolicy::Random => "RANDOM",
        LbPolicy::Hash(crate::model::ConsistentHash::Ring { .. }) => "RING_HASH",
        LbPolicy::Hash(crate::model::ConsistentHash::Maglev(_)) => "MAGLEV",
        LbPolicy::ClusterProvided => "CLUSTER_PROVIDED",
    };
    let protocol = match one.http.protocol {
        UpstreamProtocol::Http1 => json!({"explicit_http_config": {"http_protocol_options": {}}}),
        UpstreamProtocol::Http2 => json!({"explicit_http_config": {"http2_protocol_options": {}}}),
        UpstreamProtocol::Downstream => json!({"use_downstream_protocol_config": {}}),
    };
    let limits = json!({"thresholds": [{
        "max_connections": one.breakers.max_connections,
        "max_pending_requests": one.breakers.max_pending,
        "max_requests": one.breakers.max_requests,
        "max_retries": one.breakers.max_retries,
    }]});
    let sockets = one.tls.iter().map(|(when, tls)| {
        let names: Vec<Value> = tls
            .identities
            .iter()
            .map(|identity| json!({"san_type": "URI", "matcher": {"exact": identity.to_string()}}))
            .collect();
        let validation = json!({"default_validation_context": {"match_typed_subject_alt_names": names}});
        let config = json!({"sni": tls.sni, "common_tls_context": {"combined_validation_context": validation}});
        json!({"name": format!("{when:?}"), "transport_socket": socket("UpstreamTlsContext", config)})
    });
    let protocol = any("extensions.upstreams.http.v3.HttpProtocolOptions", protocol);
    object([
        ("name", one.name.to_string().into()),
        ("type", kind.into()),
        ("eds_cluster_config", eds),
        ("connect_timeout", seconds(one.connect_timeout)),
        ("lb_policy", policy.into()),
        ("circuit_breakers", limits),
        (
            "typed_extension_protocol_options",
            json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol}),
        ),
        ("transport_socket_matches", list(sockets.collect())),
        (
            "metadata",
            one.config
                .as_ref()
                .map_or(Value::Null, |config| json!({"filter_metadata": {"istio": {"config": **config}}})),
        ),
    ])
}

fn endpoints_of(name: &str, set: &EndpointSet) -> Value {
    let localities = set.localities.iter().map(|group| {
        let endpoints: Vec<Value> = group.endpoints.iter().map(|one| {
            let health = match one.health {
                EndpointHealth::Healthy => "HEALTHY",
                EndpointHealth::Draining => "DRAINING",
                EndpointHealth::Unhealthy => "UNHEALTHY",
            };
            json!({"endpoint": {"address": address(one.address)}, "health_status": health, "load_balancing_weight": one.weight})
        }).collect();
        json!({"locality": {"region": group.locality.region, "zone": group.locality.zone, "sub_zone": group.locality.subzone},
            "priority": group.priority, "load_balancing_weight": group.weight, "lb_endpoints": endpoints})
    });
    json!({"cluster_name": name, "endpoints": localities.collect::<Vec<_>>()})
}

fn route_config(config: &RouteConfig) -> Value {
    let hosts =
        config.virtual_hosts.iter().enumerate().map(|(index, host)| virtual_host(host, &domains(config, index)));
    object([
        ("name", config.name.to_string().into()),
        ("virtual_hosts", hosts.collect::<Vec<_>>().into()),
        ("vhds", if config.on_demand { json!({"config_source": {"ads": {}}}) } else { Value::Null }),
    ])
}

fn domains(config: &RouteConfig, index: usize) -> Vec<String> {
    let exact = config.exact.iter().filter(|(_, at)| **at == index).map(|(domain, _)| domain.to_string());
    let suffixes = config.suffixes.iter().filter(|(_, at)| *at == index).map(|(suffix, _)| format!("*{suffix}"));
    let prefixes = config.prefixes.iter().filter(|(_, at)| *at == index).map(|(prefix, _)| format!("{prefix}*"));
    let any = (config.any == Some(index)).then(|| "*".to_owned());
    let mut all: Vec<String> = exact.chain(suffixes).chain(prefixes).chain(any).collect();
    all.sort();
    all
}

fn virtual_host(host: &VirtualHost, domains: &[String]) -> Value {
    let routes: Vec<Value> = host.routes.iter().map(|one| route(one)).collect();
    json!({"name": *host.name, "domains": domains, "routes": routes})
}

fn route(one: &Route) -> Value {
    let path = match &one.matches.path {
        PathMatch::Any => ("prefix", "/".into()),
        PathMatch::Exact(path) => ("path", text(path)),
        PathMatch::Prefix(path) => ("prefix", text(path)),
        PathMatch::SeparatedPrefix(path) => ("path_separated_prefix", text(path)),
        PathMatch::Regex(regex) | PathMatch::Template(regex) => ("safe_regex", json!({"regex": regex.as_str()})),
    };
    let headers = one.matches.fields.iter().map(|field| json!({"name": *field.name, "invert_match": field.invert}));
    let action = match &one.action {
        RouteAction::Forward(target) => {
            let to = match target.clusters.as_slice() {
                [only] => ("cluster", (*only.name).into()),
                split => {
                    let clusters: Vec<Value> =
                        split.iter().map(|one| json!({"name": *one.name, "weight": one.weight})).collect();
                    ("weighted_clusters", json!({"clusters": clusters}))
                }
            };
            let mirrors = target.mirrors.iter().map(|mirror| json!({"cluster": *mirror.cluster})).collect();
            let retries = target.retry.as_ref().map(|policy| json!({"num_retries": policy.attempts}));
            let timeout = target.timeout.map_or_else(|| "0s".into(), seconds);
            let forward = [
                to,
                ("timeout", timeout),
                ("retry_policy", optional(retries)),
                ("request_mirror_policies", list(mirrors)),
            ];
            ("route", object(forward))
        }
        RouteAction::Redirect(redirect) => {
            let code = redirect_code(redirect.status);
            (
                "redirect",
                json!({"response_code": code, "host_redirect": redirect.host, "scheme_redirect": redirect.scheme}),
            )
        }
        RouteAction::Direct(direct) => ("direct_response", json!({"status": direct.status})),
    };
    let config = one.config.as_ref().map(|config| json!({"filter_metadata": {"istio": {"config": **config}}}));
    object([
        ("name", one.name.to_string().into()),
        ("match", object([path, ("headers", list(headers.collect()))])),
        action,
        ("metadata", optional(config)),
    ])
}

/// Envoy's word for a status of redirection.
fn redirect_code(status: u16) -> &'static str {
    match status {
        302 => "FOUND",
        303 => "SEE_OTHER",
        307 => "TEMPORARY_REDIRECT",
        308 => "PERMANENT_REDIRECT",
        _ => "MOVED_PERMANENTLY",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ServerKeys, TlsSecrets, TlsWhen, UpstreamTls};

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
                "typed_config" | "listener" | "cluster" | "route_config" | "endpoint_config" => value.is_object(),
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
        let mut snapshot = crate::http::live::tests::snapshot("inbound_0.0.0.0_80", true, Vec::new());
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
        assert_eq!(untyped(&Value::Array(configs(&snapshot)), "", &mut typed), [""; 0]);
        assert_eq!(typed, 8, "listener, its filter and its TLS; cluster, its protocol and its TLS; routes; endpoints");
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
        let dump = Value::Array(configs(&snapshot));
        let at = |pointer: &str| dump.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(at("/3/dynamic_route_configs/0/route_config/virtual_hosts/0/name"), "reviews:80");
        let domains = at("/3/dynamic_route_configs/0/route_config/virtual_hosts/0/domains");
        assert_eq!(domains, json!(["reviews", "reviews.shop"]));
        assert_eq!(at("/4/dynamic_active_secrets/0/name"), "default");
        assert!(!dump.to_string().contains("KEY"));
    }
}
