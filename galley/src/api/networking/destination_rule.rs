//! `DestinationRule`: on what terms a service is called.

use mesh_types::Labels;

use super::traffic_policy::TrafficPolicy;
use crate::read::object;

object! {
    /// Policy for the traffic to a host, after routing.
    pub struct DestinationRule {
        /// Full name, short name (of this namespace) or wildcard; the most specific rule wins.
        host: String = "host",
        /// For the whole host.
        traffic_policy: Option<TrafficPolicy> = "trafficPolicy",
        /// Named parts of the host's workloads.
        subsets: Vec<Subset> = "subsets",
        /// Namespaces that see it: `.`, `*`, names; absent means `MeshConfig.defaultDestinationRuleExportTo`.
        export_to: Vec<String> = "exportTo",
        /// Only for these clients, of the rule's own namespace.
        workload_selector: Option<WorkloadSelectorLabels> = "workloadSelector",
    }
    where { "required": ["host"] }
}

impl DestinationRule {
    /// All its policies: for the whole host, then for each subset.
    pub fn policies(&self) -> impl Iterator<Item = &TrafficPolicy> {
        self.traffic_policy.iter().chain(self.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref()))
    }
}

object! {
    /// A named part of a host's workloads.
    pub struct Subset {
        /// What routes refer to.
        name: String = "name",
        /// Labels of its workloads.
        labels: Labels = "labels",
        /// Over the host's policy.
        traffic_policy: Option<TrafficPolicy> = "trafficPolicy",
    }
    where { "required": ["name"] }
}

object! {
    /// Workloads by labels.
    #[derive(Eq)]
    pub struct WorkloadSelectorLabels {
        /// All of these must be equal.
        match_labels: Labels = "matchLabels",
    }
}
