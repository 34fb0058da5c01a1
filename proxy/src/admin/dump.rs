//! `/config_dump` in Envoy's shape, from the model that is in force: what tools look for is where they look for it, and
//! what the model does not keep is not there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mesh_types::Locality;
use serde_json::{Map, Value, json};

use crate::config::Node;
use crate::model::{
    Cluster, Discovery, DownstreamTls, EndpointHealth, EndpointSet, FilterChain, LbPolicy, Listener, ListenerKind,
    PathMatch, PolicyAction, Rbac, Route, RouteAction, RouteConfig, RouteSource, SecretName, Snapshot, Terminal,
    TlsSecrets, Transport, UpstreamProtocol, VirtualHost,
};

const TYPE: &str = "type.googleapis.com/envoy";
const NETWORK_FILTERS: &str = "extensions.filters.network";
const TLS: &str = "extensions.transport_sockets.tls.v3";

/// The whole dump. Keys are never in it.
pub(super) fn configs(snapshot: &Snapshot, node: &Node) -> Vec<Value> {
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
    let mut secrets: Vec<_> = snapshot.secrets.iter().map(|(name, one)| (secret_name(name), one)).collect();
    secrets.sort_by(|one, other| one.0.cmp(&other.0));
    let secrets: Vec<Value> = secrets
        .into_iter()
        .map(|(name, one)| {
            let secret = any(&format!("{TLS}.Secret"), secret(&name, one));
            json!({"name": name, "version_info": version, "secret": secret})
        })
        .collect();
    vec![
        any("admin.v3.ClustersConfigDump", json!({"version_info": version, "dynamic_active_clusters": clusters})),
        any("admin.v3.EndpointsConfigDump", json!({"dynamic_endpoint_configs": endpoints})),
        any("admin.v3.ListenersConfigDump", json!({"version_info": version, "dynamic_listeners": listeners})),
        any("admin.v3.RoutesConfigDump", json!({"dynamic_route_configs": routes})),
        any("admin.v3.SecretsConfigDump", json!({"dynamic_active_secrets": secrets})),
        any("admin.v3.EcdsConfigDump", json!({})),
        any("admin.v3.BootstrapConfigDump", json!({"bootstrap": {"node": bootstrap_node(node)}})),
    ]
}

fn bootstrap_node(node: &Node) -> Value {
    let metadata = json!({
        "ISTIO_VERSION": env!("CARGO_PKG_VERSION"),
        "NAME": *node.pod,
        "NAMESPACE": *node.namespace,
        "WORKLOAD_NAME": *node.workload,
        "SERVICE_ACCOUNT": *node.service_account,
        "CLUSTER_ID": *node.cluster,
        "LABELS": node.labels,
    });
    json!({
        "id": node.id.to_string(),
        "cluster": format!("{}.{}", node.canonical_name(), node.namespace),
        "metadata": metadata,
        "user_agent_name": "weft",
        "user_agent_version": env!("CARGO_PKG_VERSION"),
    })
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

/// Certificates, and instead of a key Envoy's word for what is left out.
fn secret(name: &str, one: &TlsSecrets) -> Value {
    let bytes = |bytes: &[u8]| json!({"inline_bytes": STANDARD.encode(bytes)});
    let certificate = one
        .keys
        .as_ref()
        .map(|keys| json!({"certificate_chain": bytes(&keys.chain_pem), "private_key": bytes(b"[redacted]")}));
    let roots = one.roots_pem.as_ref().map(|roots| json!({"trusted_ca": bytes(roots)}));
    object([("name", name.into()), ("tls_certificate", optional(certificate)), ("validation_context", optional(roots))])
}

/// A filter of policies: which there are, and what it means if one matches. Their conditions are left out.
fn rbac(kind: &str, one: &Rbac) -> Value {
    let action = match one.action {
        PolicyAction::Allow => "ALLOW",
        PolicyAction::Deny => "DENY",
        PolicyAction::Log => "LOG",
    };
    let policies: Map<String, Value> = one.policies.iter().map(|one| (one.name.to_string(), json!({}))).collect();
    let rules = if one.shadow { "shadow_rules" } else { "rules" };
    let config = json!({ (rules): {"action": action, "policies": policies} });
    let typed = any(&format!("extensions.filters.{kind}.rbac.v3.RBAC"), config);
    json!({"name": format!("envoy.filters.{kind}.rbac"), "typed_config": typed})
}

fn secret_name(name: &SecretName) -> String {
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
        ("use_original_dst", if one.hands_on() { true.into() } else { Value::Null }),
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
    let policies = chain.rbac.iter().map(|one| rbac("network", one));
    let last = match &chain.terminal {
        Terminal::Http(http) => {
            let routes = match &http.routes {
                RouteSource::Rds(name) => ("rds", json!({"route_config_name": **name})),
                RouteSource::Inline(config) => ("route_config", route_config(config)),
            };
            let filters = http.filters.rbac.iter().map(|one| rbac("http", one)).collect();
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
        ("filters", policies.chain([last]).collect()),
    ])
}

fn downstream_tls(tls: &DownstreamTls) -> Value {
    let certificates: Vec<Value> = tls.certificates.iter().map(|name| json!({"name": secret_name(name)})).collect();
    let alpn: Vec<&str> = tls.alpn.iter().map(|word| &**word).collect();
    let validation = object([
        ("default_validation_context", {
            let crl = tls.client_crl.as_deref().map(|file| json!({"crl": {"filename": file}}));
            crl.unwrap_or_else(|| json!({}))
        }),
        (
            "validation_context_sds_secret_config",
            optional(tls.client_roots.as_ref().map(|name| json!({"name": secret_name(name)}))),
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

/// Envoy's `/clusters?format=json`: where each cluster's endpoints are, and how they are.
pub(super) fn cluster_statuses(snapshot: &Snapshot) -> Value {
    let none = Arc::<EndpointSet>::default();
    let statuses = sorted(&snapshot.clusters, |name, _| {
        let set = snapshot.endpoints.get(name).unwrap_or(&none);
        let hosts = set.localities.iter().flat_map(|group| {
            group.endpoints.iter().map(|one| {
                json!({
                    "address": address(one.address),
                    "health_status": {"eds_health_status": health(one.health)},
                    "weight": one.weight,
                    "priority": group.priority,
                    "locality": locality(&group.locality),
                })
            })
        });
        json!({"name": name, "added_via_api": true, "host_statuses": hosts.collect::<Vec<_>>()})
    });
    json!({"cluster_statuses": statuses})
}

fn health(health: EndpointHealth) -> &'static str {
    match health {
        EndpointHealth::Healthy => "HEALTHY",
        EndpointHealth::Draining => "DRAINING",
        EndpointHealth::Unhealthy => "UNHEALTHY",
    }
}

fn locality(locality: &Locality) -> Value {
    json!({"region": locality.region, "zone": locality.zone, "sub_zone": locality.subzone})
}

fn endpoints_of(name: &str, set: &EndpointSet) -> Value {
    let localities = set.localities.iter().map(|group| {
        let endpoints: Vec<Value> = group.endpoints.iter().map(|one| {
            let health = health(one.health);
            json!({"endpoint": {"address": address(one.address)}, "health_status": health, "load_balancing_weight": one.weight})
        }).collect();
        json!({"locality": locality(&group.locality),
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
mod tests;
