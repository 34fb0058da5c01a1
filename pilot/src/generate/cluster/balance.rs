//! How a cluster's endpoints are chosen.

use envoy_types::pb::envoy::config::cluster::v3 as cds;
use envoy_types::pb::envoy::config::cluster::v3::cluster::common_lb_config::{
    LocalityConfigSpecifier, LocalityWeightedLbConfig,
};
use envoy_types::pb::envoy::config::cluster::v3::cluster::{CommonLbConfig, DiscoveryType, LbConfig, LbPolicy};
use envoy_types::pb::envoy::r#type::v3::Percent;
use envoy_types::pb::google::protobuf as pb;
use galley::api::SimpleLb;

use super::Outbound;

impl Outbound<'_> {
    /// By the rule's balancer, or Istio's default.
    pub(super) fn balance(&self, cluster: &mut cds::Cluster) {
        if self.discovery() == DiscoveryType::OriginalDst {
            cluster.lb_policy = LbPolicy::ClusterProvided as i32;
            return;
        }
        let balancer = self.policy.load_balancer.as_ref();
        if let Some(hash) = balancer.and_then(|balancer| balancer.consistent_hash.as_ref()) {
            if let Some(maglev) = &hash.maglev {
                cluster.lb_policy = LbPolicy::Maglev as i32;
                let table_size = maglev.table_size.map(|value| pb::UInt64Value { value });
                cluster.lb_config = Some(LbConfig::MaglevLbConfig(cds::cluster::MaglevLbConfig { table_size }));
            } else {
                cluster.lb_policy = LbPolicy::RingHash as i32;
                let size = hash.ring_hash.as_ref().and_then(|ring| ring.minimum_ring_size).or(hash.minimum_ring_size);
                let minimum_ring_size = Some(pb::UInt64Value { value: size.unwrap_or(1024) });
                cluster.lb_config = Some(LbConfig::RingHashLbConfig(cds::cluster::RingHashLbConfig {
                    minimum_ring_size,
                    ..Default::default()
                }));
            }
            return;
        }
        let policy = match balancer.and_then(|balancer| balancer.simple) {
            Some(SimpleLb::Random) => LbPolicy::Random,
            Some(SimpleLb::RoundRobin) => LbPolicy::RoundRobin,
            // Istio's default.
            _ => LbPolicy::LeastRequest,
        };
        cluster.lb_policy = policy as i32;
    }

    /// When too few endpoints are healthy to go by it, and whether localities share the load.
    pub(super) fn common_lb(&self) -> CommonLbConfig {
        let least =
            self.policy.outlier_detection.as_ref().and_then(|outlier| outlier.min_health_percent).unwrap_or_default();
        let weighted = LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig {});
        CommonLbConfig {
            healthy_panic_threshold: Some(Percent { value: f64::from(least) }),
            locality_config_specifier: self.preference().is_shared_out().then_some(weighted),
            ..Default::default()
        }
    }
}
