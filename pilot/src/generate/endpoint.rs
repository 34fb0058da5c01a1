//! Endpoints of a cluster.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::{HealthStatus, Locality};
use envoy_types::pb::envoy::config::endpoint::v3 as eds;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use mesh_types::Labels;

use super::wire::{host_address, metadata, number, structure, text};
use crate::proxy::selects;
use crate::world::{Instance, canonical};

/// The instances that a subset's labels select, by locality.
pub(super) fn assignment(name: &str, instances: &[Instance], subset: Option<&Labels>) -> eds::ClusterLoadAssignment {
    let mut localities: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for instance in instances.iter().filter(|instance| subset.is_none_or(|labels| selects(labels, &instance.labels))) {
        localities.entry(&instance.locality).or_default().push(instance);
    }
    let endpoints = localities.into_iter().map(|(locality, mut instances)| {
        instances.sort_by(|one, other| (&one.address, one.port).cmp(&(&other.address, other.port)));
        let weight = instances.iter().map(|instance| instance.weight).fold(0, u32::saturating_add);
        let mut parts = locality.splitn(3, '/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        eds::LocalityLbEndpoints {
            locality: Some(Locality { region: next(), zone: next(), sub_zone: next() }),
            lb_endpoints: instances.into_iter().map(endpoint).collect(),
            load_balancing_weight: Some(number(weight.max(1))),
            ..Default::default()
        }
    });
    eds::ClusterLoadAssignment { cluster_name: name.to_owned(), endpoints: endpoints.collect(), ..Default::default() }
}

fn endpoint(instance: &Instance) -> eds::LbEndpoint {
    let (name, revision) = canonical(&instance.labels, &instance.workload);
    let workload = [&instance.workload, &instance.namespace, &name, &revision, "Kubernetes"].join(";");
    let mut about = metadata("istio", structure([("workload", text(&workload))]));
    if instance.takes_mtls() {
        let fields = structure([("tlsMode", text("istio"))]);
        about.filter_metadata.insert("envoy.transport_socket_match".to_owned(), fields);
    }
    eds::LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(eds::Endpoint {
            address: Some(host_address(&instance.address, instance.port)),
            ..Default::default()
        })),
        health_status: if instance.ready { HealthStatus::Healthy } else { HealthStatus::Unhealthy } as i32,
        load_balancing_weight: Some(number(instance.weight.max(1))),
        metadata: Some(about),
    }
}
