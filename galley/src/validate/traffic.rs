//! DestinationRules.

use super::Checker;
use crate::api::{ClientTls, DestinationRule, LoadBalancer, TrafficPolicy};
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn destination_rule(&mut self, spec: &DestinationRule) {
        let path = FieldPath::default().field("spec");
        if spec.workload_selector.is_some() {
            self.unserved(&path.field("workloadSelector"));
        }
        self.traffic_policy(spec.traffic_policy.as_ref(), &path.field("trafficPolicy"));
        for (index, subset) in spec.subsets.iter().enumerate() {
            let path = path.field("subsets").index(index);
            if subset.name.is_empty() {
                self.error(Code::Missing, &path.field("name"), "must be set");
            }
            self.traffic_policy(subset.traffic_policy.as_ref(), &path.field("trafficPolicy"));
        }
    }

    fn traffic_policy(&mut self, policy: Option<&TrafficPolicy>, path: &FieldPath) {
        let Some(policy) = policy else { return };
        self.load_balancer(policy.load_balancer.as_ref(), &path.field("loadBalancer"));
        self.client_tls(policy.tls.as_ref(), &path.field("tls"));
        for (index, port) in policy.port_level_settings.iter().enumerate() {
            let path = path.field("portLevelSettings").index(index);
            self.load_balancer(port.load_balancer.as_ref(), &path.field("loadBalancer"));
            self.client_tls(port.tls.as_ref(), &path.field("tls"));
        }
        let tcp = policy.connection_pool.as_ref().and_then(|pool| pool.tcp.as_ref());
        if tcp.is_some_and(|tcp| tcp.max_connection_duration.is_some()) {
            self.unserved(&path.field("connectionPool").field("tcp").field("maxConnectionDuration"));
        }
    }

    fn load_balancer(&mut self, balancer: Option<&LoadBalancer>, path: &FieldPath) {
        let Some(balancer) = balancer else { return };
        // `enabled: false` asks for what is done anyway.
        let locality = balancer.locality_lb_setting.as_ref();
        if locality.is_some_and(|setting| setting.enabled != Some(false)) {
            self.unserved(&path.field("localityLbSetting"));
        }
        if balancer.warmup_duration_secs.is_some() {
            self.unserved(&path.field("warmupDurationSecs"));
        }
        if balancer.warmup.is_some() {
            self.unserved(&path.field("warmup"));
        }
    }

    fn client_tls(&mut self, tls: Option<&ClientTls>, path: &FieldPath) {
        let Some(tls) = tls else { return };
        if !tls.credential_name.is_empty() {
            self.unserved(&path.field("credentialName"));
        }
        if !tls.ca_crl.is_empty() {
            self.unserved(&path.field("caCrl"));
        }
    }
}
