//! DestinationRules.

use std::collections::BTreeSet;

use super::Checker;
use crate::api::{
    ClientTls, ClientTlsMode, ConnectionPool, ConsistentHash, DestinationRule, LoadBalancer, LocalityLb, TrafficPolicy,
};
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn destination_rule(&mut self, spec: &DestinationRule) {
        let path = FieldPath::default().field("spec");
        if spec.host.is_empty() {
            self.error(Code::Missing, &path.field("host"), "must be set");
        }
        self.host_name(&spec.host, &path.field("host"));
        if spec.workload_selector.is_some() {
            self.unserved(&path.field("workloadSelector"));
        }
        self.traffic_policy(spec.traffic_policy.as_ref(), &path.field("trafficPolicy"));
        let mut names = BTreeSet::new();
        for (index, subset) in spec.subsets.iter().enumerate() {
            let path = path.field("subsets").index(index);
            if subset.name.is_empty() {
                self.error(Code::Missing, &path.field("name"), "must be set");
            } else if !names.insert(&subset.name) {
                self.error(Code::Invalid, &path.field("name"), "is another subset's name too");
            }
            self.traffic_policy(subset.traffic_policy.as_ref(), &path.field("trafficPolicy"));
        }
    }

    fn traffic_policy(&mut self, policy: Option<&TrafficPolicy>, path: &FieldPath) {
        let Some(policy) = policy else { return };
        self.load_balancer(policy.load_balancer.as_ref(), &path.field("loadBalancer"));
        self.client_tls(policy.tls.as_ref(), &path.field("tls"));
        self.pool(policy.connection_pool.as_ref(), &path.field("connectionPool"));
        for (index, port) in policy.port_level_settings.iter().enumerate() {
            let path = path.field("portLevelSettings").index(index);
            if port.port.as_ref().is_none_or(|port| port.number == 0) {
                self.error(Code::Missing, &path.field("port").field("number"), "must be set");
            }
            self.load_balancer(port.load_balancer.as_ref(), &path.field("loadBalancer"));
            self.client_tls(port.tls.as_ref(), &path.field("tls"));
            self.pool(port.connection_pool.as_ref(), &path.field("connectionPool"));
        }
    }

    fn pool(&mut self, pool: Option<&ConnectionPool>, path: &FieldPath) {
        let tcp = pool.and_then(|pool| pool.tcp.as_ref());
        if tcp.is_some_and(|tcp| tcp.max_connection_duration.is_some()) {
            self.unserved(&path.field("tcp").field("maxConnectionDuration"));
        }
    }

    fn load_balancer(&mut self, balancer: Option<&LoadBalancer>, path: &FieldPath) {
        let Some(balancer) = balancer else { return };
        if let Some(hash) = &balancer.consistent_hash {
            let path = path.field("consistentHash");
            if balancer.simple.is_some() {
                self.error(Code::Invalid, &path, "cannot be set together with simple; keep one");
            }
            self.consistent_hash(hash, &path);
        }
        if let Some(setting) = &balancer.locality_lb_setting {
            self.locality(setting, &path.field("localityLbSetting"));
        }
        if balancer.warmup_duration_secs.is_some() {
            self.unserved(&path.field("warmupDurationSecs"));
        }
        if balancer.warmup.is_some() {
            self.unserved(&path.field("warmup"));
        }
    }

    fn consistent_hash(&mut self, hash: &ConsistentHash, path: &FieldPath) {
        let keys = [
            !hash.http_header_name.is_empty(),
            hash.http_cookie.is_some(),
            hash.use_source_ip,
            !hash.http_query_parameter_name.is_empty(),
        ];
        if keys.into_iter().filter(|set| *set).count() != 1 {
            let message =
                "needs exactly one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName to hash";
            self.error(Code::Invalid, path, message);
        }
        if hash.ring_hash.is_some() && hash.maglev.is_some() {
            self.error(Code::Invalid, &path.field("maglev"), "cannot be set together with ringHash; keep one");
        }
    }

    /// Istio's rules of `localityLbSetting`.
    pub(super) fn locality(&mut self, setting: &LocalityLb, path: &FieldPath) {
        let orders = !setting.failover.is_empty() || !setting.failover_priority.is_empty();
        if orders && !setting.distribute.is_empty() {
            let message = "cannot be set together with failover or failoverPriority; keep one";
            self.error(Code::Invalid, &path.field("distribute"), message);
        }
        for (index, one) in setting.distribute.iter().enumerate() {
            let path = path.field("distribute").index(index);
            if one.from.is_empty() {
                self.error(Code::Missing, &path.field("from"), "must be set");
            }
            if one.to.values().map(|share| u64::from(*share)).sum::<u64>() != 100 {
                self.error(Code::Invalid, &path.field("to"), "must add up to 100 percent");
            }
        }
        for (index, one) in setting.failover.iter().enumerate() {
            let path = path.field("failover").index(index);
            if one.from == one.to {
                self.error(Code::Invalid, &path.field("to"), "must be another region than from");
            }
            if [&one.from, &one.to].iter().any(|region| region.is_empty() || region.contains(['/', '*'])) {
                self.error(Code::Invalid, &path, "must name two regions, without zones and wildcards");
            }
        }
    }

    fn client_tls(&mut self, tls: Option<&ClientTls>, path: &FieldPath) {
        let Some(tls) = tls else { return };
        if !tls.credential_name.is_empty() {
            self.unserved(&path.field("credentialName"));
        }
        let skipped = tls.insecure_skip_verify.unwrap_or(false);
        let asked = !skipped && matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual);
        if !tls.ca_crl.is_empty() && !asked {
            let message = "is for the modes SIMPLE and MUTUAL, without insecureSkipVerify; elsewhere it does nothing";
            self.error(Code::Invalid, &path.field("caCrl"), message);
        }
    }
}
