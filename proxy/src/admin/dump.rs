//! `/config_dump` in Envoy's shape: what is in force, as the control plane sent it, where tools look for it.

mod asked;

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mesh_types::{Locality, Name};
use serde_json::{Value, json};
use weft_proto::envoy::Messages;

use crate::config::Node;
use crate::model::{EndpointHealth, EndpointSet, Resource, SecretName, Snapshot, TlsSecrets, Type};

pub(super) use asked::Asked;

/// The sections of `/config_dump`, each of which says of which type it is. Keys are in none.
pub fn configs(snapshot: &Snapshot, node: &Node) -> Vec<Value> {
    let version = snapshot.version.to_string();
    let dump = Dump { snapshot, messages: Messages::read() };
    vec![
        section("ClustersConfigDump", json!({"version_info": version, "dynamic_active_clusters": dump.clusters()})),
        section("EndpointsConfigDump", json!({"dynamic_endpoint_configs": dump.endpoints()})),
        section("ListenersConfigDump", json!({"version_info": version, "dynamic_listeners": dump.listeners()})),
        section("RoutesConfigDump", json!({"dynamic_route_configs": dump.routes()})),
        section("SecretsConfigDump", json!({"dynamic_active_secrets": secrets(snapshot)})),
        section("EcdsConfigDump", json!({})),
        section("BootstrapConfigDump", json!({"bootstrap": {"node": bootstrap_node(node)}})),
    ]
}

fn section(name: &str, mut value: Value) -> Value {
    value["@type"] = format!("type.googleapis.com/envoy.admin.v3.{name}").into();
    value
}

/// What is in force, and how it is told.
struct Dump<'a> {
    snapshot: &'a Snapshot,
    messages: Messages,
}

impl Dump<'_> {
    fn clusters(&self) -> Value {
        let kind = Type::Cluster;
        self.each(kind, |_, one| json!({"version_info": one.version, "cluster": self.message(kind, one)}))
    }

    fn endpoints(&self) -> Value {
        let kind = Type::Endpoints;
        self.each(kind, |_, one| json!({"version_info": one.version, "endpoint_config": self.message(kind, one)}))
    }

    fn listeners(&self) -> Value {
        self.each(Type::Listener, |name, one| {
            let state = json!({"version_info": one.version, "listener": self.message(Type::Listener, one)});
            json!({"name": name, "active_state": state})
        })
    }

    /// Route configurations, and in them the virtual hosts that were asked for by name: as istiod tells them, so that
    /// what compares the two finds no difference.
    fn routes(&self) -> Value {
        let hosts = self.snapshot.resources.sorted(Type::VirtualHost);
        self.each(Type::Route, |name, one| {
            let mut route = self.message(Type::Route, one);
            let of_route = |host: &str| host.split_once('/').is_some_and(|(route, _)| route == name);
            for (_, host) in hosts.iter().filter(|(host, _)| of_route(host)) {
                add_host(&mut route, self.told(Type::VirtualHost, host));
            }
            json!({"version_info": one.version, "route_config": route})
        })
    }

    fn each(&self, kind: Type, show: impl Fn(&str, &Resource) -> Value) -> Value {
        self.snapshot.resources.sorted(kind).into_iter().map(|(name, one)| show(name, one)).collect()
    }

    /// A resource where a message of any type may stand: it says of which it is, without which Envoy's tools refuse the
    /// whole dump.
    fn message(&self, kind: Type, one: &Resource) -> Value {
        let mut value = self.told(kind, one);
        value["@type"] = kind.url().into();
        value
    }

    /// What was taken can be told, but for messages of any type in each other without end.
    fn told(&self, kind: Type, one: &Resource) -> Value {
        self.messages.json(kind.message(), &one.body).unwrap_or_else(|error| {
            tracing::warn!("a {} is not told: {error}", kind.word());
            json!({})
        })
    }
}

/// Several authorities may have led to one virtual host.
fn add_host(route: &mut Value, host: Value) {
    match &mut route["virtual_hosts"] {
        Value::Array(hosts) if hosts.contains(&host) => {}
        Value::Array(hosts) => hosts.push(host),
        none => *none = json!([host]),
    }
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

/// The workload's own and the named ones.
fn secrets(snapshot: &Snapshot) -> Value {
    let mut all: Vec<_> = snapshot.secrets.iter().map(|(name, one)| (secret_name(name), one)).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let show = |(name, one): (String, &Arc<TlsSecrets>)| {
        let mut secret = secret(&name, one);
        secret["@type"] = Type::Secret.url().into();
        json!({"name": name, "version_info": snapshot.version.to_string(), "secret": secret})
    };
    all.into_iter().map(show).collect()
}

/// Certificates, and instead of a key Envoy's word for what is left out.
fn secret(name: &str, one: &TlsSecrets) -> Value {
    let bytes = |bytes: &[u8]| json!({"inline_bytes": STANDARD.encode(bytes)});
    let certificate = one
        .keys
        .as_ref()
        .map(|keys| json!({"certificate_chain": bytes(&keys.chain_pem), "private_key": bytes(b"[redacted]")}));
    let roots = one.roots_pem.as_ref().map(|roots| json!({"trusted_ca": bytes(roots)}));
    let mut told = json!({"name": name});
    if let Some(certificate) = certificate {
        told["tls_certificate"] = certificate;
    }
    if let Some(roots) = roots {
        told["validation_context"] = roots;
    }
    told
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

/// Envoy's `/clusters?format=json`: where each cluster's endpoints are, and how they are.
pub(super) fn cluster_statuses(snapshot: &Snapshot) -> Value {
    let none = Arc::<EndpointSet>::default();
    let mut names: Vec<&Name> = snapshot.clusters.keys().collect();
    names.sort();
    let status = |name: &Name| {
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
        json!({"name": **name, "added_via_api": true, "host_statuses": hosts.collect::<Vec<_>>()})
    };
    json!({"cluster_statuses": names.into_iter().map(status).collect::<Vec<_>>()})
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

fn address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

#[cfg(test)]
mod tests;
