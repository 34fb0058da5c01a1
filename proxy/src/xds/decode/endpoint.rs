//! EDS: `ClusterLoadAssignment`.

use std::mem::take;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::HealthStatus;
use envoy_types::pb::envoy::config::endpoint::v3 as eds;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use mesh_types::{Locality, Name};

use super::{At, Invalid, Result, each, host_and_port, nothing_else, text_in};
use crate::model::{DnsEndpoint, Endpoint, EndpointHealth, EndpointSet, LocalityEndpoints, WorkloadRef};

/// The endpoints of a cluster.
pub(in crate::xds) fn endpoints(mut message: eds::ClusterLoadAssignment) -> Result<EndpointSet> {
    message.cluster_name.clear();
    let mut localities = each(take(&mut message.endpoints), "endpoints", |place| {
        let (place, endpoints) = locality(place)?;
        let endpoints = each(endpoints, "lb_endpoints", |one| {
            let (host, port, template) = endpoint(one)?;
            let ip = host.parse().map_err(|_| Invalid::new(format!("{host:?} is no IP address")))?;
            Ok(Arc::new(Endpoint { address: std::net::SocketAddr::new(ip, port), ..template }))
        })?;
        Ok(LocalityEndpoints { endpoints, ..place })
    })?;
    nothing_else(&message)?;
    localities.sort_by_key(|place| place.priority);
    Ok(EndpointSet { localities })
}

/// The names of a DNS cluster.
pub(super) fn names(mut message: eds::ClusterLoadAssignment) -> Result<Vec<DnsEndpoint>> {
    message.cluster_name.clear();
    let places = each(take(&mut message.endpoints), "endpoints", |place| {
        let (place, endpoints) = locality(place)?;
        each(endpoints, "lb_endpoints", |one| {
            let (host, port, template) = endpoint(one)?;
            let (locality, priority) = (place.locality.clone(), place.priority);
            Ok(DnsEndpoint { host: host.into(), port, template, locality, priority })
        })
    })?;
    nothing_else(&message)?;
    Ok(places.into_iter().flatten().collect())
}

fn locality(mut message: eds::LocalityLbEndpoints) -> Result<(LocalityEndpoints, Vec<eds::LbEndpoint>)> {
    let place = take(&mut message.locality).unwrap_or_default();
    let found = LocalityEndpoints {
        locality: Locality { region: place.region, zone: place.zone, subzone: place.sub_zone },
        priority: take(&mut message.priority),
        weight: take(&mut message.load_balancing_weight).map_or(0, |weight| weight.value),
        endpoints: Vec::new(),
    };
    let endpoints = take(&mut message.lb_endpoints);
    nothing_else(&message)?;
    Ok((found, endpoints))
}

fn endpoint(mut message: eds::LbEndpoint) -> Result<(String, u16, Endpoint)> {
    let Some(HostIdentifier::Endpoint(mut inner)) = take(&mut message.host_identifier) else {
        return Err(Invalid::new("must be set")).at("endpoint");
    };
    let (host, port) = host_and_port(take(&mut inner.address)).at("endpoint.address")?;
    let hostname = take(&mut inner.hostname);
    nothing_else(&inner).at("endpoint")?;
    let metadata = take(&mut message.metadata);
    let metadata = metadata.as_ref();
    let health = match HealthStatus::try_from(take(&mut message.health_status)) {
        Ok(HealthStatus::Unknown | HealthStatus::Healthy | HealthStatus::Degraded) => EndpointHealth::Healthy,
        Ok(HealthStatus::Draining) => EndpointHealth::Draining,
        _ => EndpointHealth::Unhealthy,
    };
    let weight = take(&mut message.load_balancing_weight).map_or(1, |weight| weight.value.max(1));
    nothing_else(&message)?;
    let endpoint = Endpoint {
        address: ([0, 0, 0, 0], port).into(),
        hostname: (!hostname.is_empty()).then(|| hostname.into()),
        health,
        weight,
        mtls: text_in(metadata, "envoy.transport_socket_match", "tlsMode") == Some("istio"),
        workload: text_in(metadata, "istio", "workload").and_then(workload),
    };
    Ok((host, port, endpoint))
}

/// `name;namespace;canonical name;canonical revision;cluster`.
fn workload(text: &str) -> Option<WorkloadRef> {
    let mut parts = text.split(';').map(Name::from);
    let mut next = || parts.next();
    Some(WorkloadRef {
        name: next()?,
        namespace: next()?,
        canonical_name: next()?,
        canonical_revision: next()?,
        cluster: next()?,
    })
}
