//! What operators' tools ask over xDS (`istioctl proxy-status`): how every proxy stands with what it was sent. They speak
//! the protocol's older form, of which nothing else is served.

use envoy_types::pb::envoy::config::core::v3::{ControlPlane, Node};
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::envoy::service::status::v3::client_config::GenericXdsConfig;
use envoy_types::pb::envoy::service::status::v3::{ClientConfig, ConfigStatus};
use envoy_types::pb::google::protobuf::{Any, Struct, Value, value};
use mesh_types::NodeId;
use prost::Message;
use tonic::Status;

use crate::kind::Kind;
use crate::push::Shown;

/// Istio's question for the state of all proxies.
const SYNCZ: &str = "istio.io/debug/syncz";
const CLIENT_CONFIG: &str = "type.googleapis.com/envoy.service.status.v3.ClientConfig";

/// # Errors
/// With what to do instead, for questions that proxies ask, and others that are not served.
pub(crate) fn check(request: &DiscoveryRequest) -> Result<(), Status> {
    match request.type_url.as_str() {
        SYNCZ => Ok(()),
        url if Kind::of(url).is_some() => {
            Err(Status::unimplemented("only delta ADS is served: set ads_config.api_type to DELTA_GRPC"))
        }
        url => Err(Status::unimplemented(format!("{url:?} is not served; {SYNCZ} is"))),
    }
}

/// How these proxies stand, as this control plane says it.
pub(crate) fn answer(control_plane: &str, connections: &[Shown]) -> DiscoveryResponse {
    DiscoveryResponse {
        version_info: "1".to_owned(),
        type_url: SYNCZ.to_owned(),
        nonce: "1".to_owned(),
        resources: connections.iter().map(client).collect(),
        control_plane: Some(ControlPlane { identifier: identifier(control_plane) }),
        ..DiscoveryResponse::default()
    }
}

/// Istio's form: which instance answers, and of which version it is.
fn identifier(instance: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    serde_json::json!({ "Component": "istiod", "ID": instance, "Info": { "version": version } }).to_string()
}

fn client(shown: &Shown) -> Any {
    let id: Option<NodeId> = shown.proxy.parse().ok();
    let name = id.as_ref().map_or_else(|| shown.proxy.clone(), |id| format!("{}.{}", id.workload, id.namespace));
    let text = |text: &str| Value { kind: Some(value::Kind::StringValue(text.to_owned())) };
    let metadata = [
        ("CLUSTER_ID", shown.cluster.as_str()),
        ("ISTIO_VERSION", shown.version.as_str()),
        ("NAMESPACE", id.as_ref().map_or("", |id| &id.namespace)),
    ];
    let fields = metadata.into_iter().map(|(key, value)| (key.to_owned(), text(value))).collect();
    let config = ClientConfig {
        node: Some(Node { id: name, metadata: Some(Struct { fields }), ..Node::default() }),
        generic_xds_configs: Kind::ALL.into_iter().map(|kind| state(shown, kind)).collect(),
        ..ClientConfig::default()
    };
    Any { type_url: CLIENT_CONFIG.to_owned(), value: config.encode_to_vec() }
}

fn state(shown: &Shown, kind: Kind) -> GenericXdsConfig {
    let status = match kind.word() {
        word if shown.refused.contains_key(word) => ConfigStatus::Error,
        word if shown.pending.contains_key(word) => ConfigStatus::Stale,
        _ if shown.told.contains(&kind) => ConfigStatus::Synced,
        _ => ConfigStatus::NotSent,
    };
    GenericXdsConfig { type_url: kind.url().to_owned(), config_status: status.into(), ..GenericXdsConfig::default() }
}
