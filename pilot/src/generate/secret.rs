//! Where a proxy has its secrets from.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;

use super::wire::{ads, duration};

/// The cluster by which a stock Envoy reaches the agent beside it, as Istio's bootstrap names it.
const AGENT: &str = "sds-grpc";

/// A reference to a secret. A gateway's credentials come over this stream. What a workload has of its own, its
/// certificate, the mesh's roots and its files, it has from its agent: a key never leaves its pod. (Our proxy is its own
/// agent and asks nobody.)
pub(super) fn sds(name: &str) -> tls::SdsSecretConfig {
    let source = if name.starts_with("kubernetes://") { ads() } else { agent() };
    tls::SdsSecretConfig { name: name.to_owned(), sds_config: Some(source) }
}

/// A file in the proxy's pod, if there is one.
pub(super) fn file(path: &str) -> Option<core::DataSource> {
    let specifier = core::data_source::Specifier::Filename(path.to_owned());
    (!path.is_empty()).then(|| core::DataSource { specifier: Some(specifier), ..Default::default() })
}

/// Istio's words for it. Without a time limit, since what needs the secret cannot serve before it is there.
fn agent() -> core::ConfigSource {
    use core::config_source::ConfigSourceSpecifier;
    use core::grpc_service::{EnvoyGrpc, TargetSpecifier};
    let to_agent = EnvoyGrpc { cluster_name: AGENT.to_owned(), ..Default::default() };
    let service =
        core::GrpcService { target_specifier: Some(TargetSpecifier::EnvoyGrpc(to_agent)), ..Default::default() };
    let source = core::ApiConfigSource {
        api_type: core::api_config_source::ApiType::Grpc as i32,
        transport_api_version: core::ApiVersion::V3 as i32,
        grpc_services: vec![service],
        set_node_on_first_message_only: true,
        ..Default::default()
    };
    core::ConfigSource {
        config_source_specifier: Some(ConfigSourceSpecifier::ApiConfigSource(source)),
        initial_fetch_timeout: Some(duration(Duration::ZERO)),
        resource_api_version: core::ApiVersion::V3 as i32,
        ..Default::default()
    }
}
