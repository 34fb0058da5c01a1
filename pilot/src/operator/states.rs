//! How a proxy stands, by type.

use envoy_types::pb::envoy::service::status::v3::client_config::GenericXdsConfig;
use envoy_types::pb::envoy::service::status::v3::{ClientConfig, ConfigStatus};
use envoy_types::pb::google::protobuf::Any;

use super::{any, node};
use crate::kind::Kind;
use crate::push::Shown;

const CLIENT_CONFIG: &str = "type.googleapis.com/envoy.service.status.v3.ClientConfig";

pub(super) fn client(shown: &Shown) -> Any {
    let config = ClientConfig {
        node: Some(node(shown)),
        generic_xds_configs: Kind::ALL.into_iter().map(|kind| state(shown, kind)).collect(),
        ..ClientConfig::default()
    };
    any(CLIENT_CONFIG, &config)
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
