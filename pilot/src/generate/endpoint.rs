//! Endpoints of a cluster.

use envoy_types::pb::envoy::config::core::v3::{HealthStatus, Locality};
use envoy_types::pb::envoy::config::endpoint::v3 as eds;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;

use super::locality::Group;
use super::wire::{host_address, metadata, number, structure, text};
use crate::world::{Instance, canonical};

/// The groups of a cluster's instances.
pub(super) fn assignment(name: &str, groups: Vec<Group<'_>>) -> eds::ClusterLoadAssignment {
    let endpoints = groups.into_iter().map(|mut group| {
        group.instances.sort_by(|one, other| (&one.address, one.port).cmp(&(&other.address, other.port)));
        eds::LocalityLbEndpoints {
            locality: Some(Locality {
                region: group.locality.region.clone(),
                zone: group.locality.zone.clone(),
                sub_zone: group.locality.subzone.clone(),
            }),
            priority: group.priority,
            lb_endpoints: group.instances.into_iter().map(endpoint).collect(),
            load_balancing_weight: Some(number(group.weight.max(1))),
            ..Default::default()
        }
    });
    eds::ClusterLoadAssignment { cluster_name: name.to_owned(), endpoints: endpoints.collect(), ..Default::default() }
}

fn endpoint(instance: &Instance) -> eds::LbEndpoint {
    let (name, revision) = canonical(&instance.labels, &instance.workload);
    let workload = [&instance.workload, &instance.namespace, &name, &revision, "Kubernetes"].join(";");
    let mut about = metadata("istio", structure([("workload", text(&workload))]));
    if instance.takes_mtls {
        let fields = structure([("tlsMode", text("istio"))]);
        about.filter_metadata.insert("envoy.transport_socket_match".to_owned(), fields);
    }
    eds::LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(eds::Endpoint {
            address: Some(host_address(&instance.address, instance.port)),
            ..Default::default()
        })),
        health_status: HealthStatus::Healthy as i32,
        load_balancing_weight: Some(number(instance.weight.max(1))),
        metadata: Some(about),
    }
}
