//! What a resource makes a proxy ask for next.

use anyhow::{Context, Result};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::listener::v3::{Filter, Listener};
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use prost::Message;

/// Types of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Cluster,
    Endpoints,
    Listener,
    Route,
    VirtualHost,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Cluster, Self::Endpoints, Self::Listener, Self::Route, Self::VirtualHost];

    pub(crate) fn url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::VirtualHost => "type.googleapis.com/envoy.config.route.v3.VirtualHost",
        }
    }

    pub(crate) fn of(url: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.url() == url).with_context(|| format!("{url} was not asked for"))
    }

    /// Everything of the kind is asked for.
    pub(crate) fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }

    /// The kind of what resources of this kind mention.
    pub(crate) fn mentioned(self) -> Self {
        match self {
            Self::Cluster | Self::Endpoints => Self::Endpoints,
            Self::Listener => Self::Route,
            Self::Route | Self::VirtualHost => Self::Cluster,
        }
    }
}

/// The names that a resource mentions.
pub(crate) fn mentions(kind: Kind, bytes: &[u8]) -> Result<Vec<String>> {
    Ok(match kind {
        Kind::Cluster => endpoints(Cluster::decode(bytes)?).into_iter().collect(),
        Kind::Endpoints => {
            ClusterLoadAssignment::decode(bytes)?;
            Vec::new()
        }
        Kind::Listener => routes(Listener::decode(bytes)?),
        Kind::Route => clusters(&RouteConfiguration::decode(bytes)?.virtual_hosts),
        Kind::VirtualHost => clusters(&[VirtualHost::decode(bytes)?]),
    })
}

fn endpoints(cluster: Cluster) -> Option<String> {
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds as i32);
    let service = cluster.eds_cluster_config.map(|config| config.service_name).filter(|name| !name.is_empty());
    (cluster.cluster_discovery_type == Some(eds)).then(|| service.unwrap_or(cluster.name))
}

fn routes(listener: Listener) -> Vec<String> {
    let chains = listener.filter_chains.into_iter().chain(listener.default_filter_chain);
    chains.flat_map(|chain| chain.filters).filter_map(route).collect()
}

fn route(filter: Filter) -> Option<String> {
    let Some(ConfigType::TypedConfig(config)) = filter.config_type else { return None };
    if !config.type_url.ends_with(".HttpConnectionManager") {
        return None;
    }
    match HttpConnectionManager::decode(config.value.as_slice()).ok()?.route_specifier? {
        RouteSpecifier::Rds(rds) => Some(rds.route_config_name),
        _ => None,
    }
}

fn clusters(hosts: &[VirtualHost]) -> Vec<String> {
    let mut names = Vec::new();
    for route in hosts.iter().flat_map(|host| &host.routes) {
        let Some(Action::Route(action)) = &route.action else { continue };
        match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => names.push(name.clone()),
            Some(ClusterSpecifier::WeightedClusters(split)) => {
                names.extend(split.clusters.iter().map(|one| one.name.clone()));
            }
            _ => {}
        }
    }
    names.retain(|name| name.starts_with("outbound|"));
    names
}
