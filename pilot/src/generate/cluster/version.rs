//! Which version of HTTP a cluster's endpoints are spoken to in.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
};
use envoy_types::pb::google::protobuf as pb;
use galley::api;
use mesh_types::Protocol;

use super::Outbound;
use crate::generate::wire::{any, duration, number};

/// Under which name a cluster has them, and their type.
pub(super) const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Which version of HTTP endpoints are spoken to in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
    /// Whichever the client chose.
    Clients,
}

impl Version {
    /// As the port was declared; where it was not, the client knows.
    pub(super) fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Auto => Self::Clients,
            declared if declared.is_http2() => Self::Http2,
            _ => Self::Http1,
        }
    }
}

impl Outbound<'_> {
    /// The version that the rule asks for, or the port's.
    pub(super) fn version(&self, pool: Option<&api::HttpPool>) -> Version {
        use api::{H2Upgrade, H2UpgradePolicy};
        let asked = pool.map(|pool| pool.h2_upgrade_policy).unwrap_or_default();
        let upgrade = match asked {
            H2Upgrade::Default => self.world.mesh.h2_upgrade_policy == H2UpgradePolicy::Upgrade,
            asked => asked == H2Upgrade::Upgrade,
        };
        match Version::of(self.port.protocol) {
            _ if pool.is_some_and(|pool| pool.use_client_protocol) => Version::Clients,
            Version::Http1 if upgrade && self.port.protocol.is_http() => Version::Http2,
            declared => declared,
        }
    }
}

/// The options of a cluster whose endpoints are spoken to so.
pub(super) fn options(version: Version, pool: Option<&api::HttpPool>) -> pb::Any {
    let http2 = || core::Http2ProtocolOptions {
        max_concurrent_streams: pool.and_then(|pool| pool.max_concurrent_streams).map(number),
        ..Default::default()
    };
    let explicit =
        |config| UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(config) });
    let options = match version {
        Version::Http1 => explicit(ProtocolConfig::HttpProtocolOptions(core::Http1ProtocolOptions::default())),
        Version::Http2 => explicit(ProtocolConfig::Http2ProtocolOptions(http2())),
        Version::Clients => UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
            http_protocol_options: Some(core::Http1ProtocolOptions::default()),
            http2_protocol_options: Some(http2()),
            ..Default::default()
        }),
    };
    let common = pool.map(|pool| core::HttpProtocolOptions {
        idle_timeout: pool.idle_timeout.map(duration),
        max_requests_per_connection: pool.max_requests_per_connection.filter(|count| *count > 0).map(number),
        ..Default::default()
    });
    let message = http::HttpProtocolOptions {
        common_http_protocol_options: common,
        upstream_protocol_options: Some(options),
        ..Default::default()
    };
    any(HTTP_OPTIONS, &message)
}
