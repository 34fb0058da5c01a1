//! The traffic policy in force for a port of a service or subset: the more specific settings replace the less specific
//! ones, field by field of the first level (Istio's `DestinationRule`).

use galley::api::{
    ClientTls, ConnectionPool, ConsistentHash, DestinationRule, LoadBalancer, OutlierDetection, ProxyProtocol,
    RetryBudget, TrafficPolicy,
};

use crate::world::Service;

/// What is in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    pub(super) load_balancer: Option<LoadBalancer>,
    pub(super) connection_pool: Option<ConnectionPool>,
    pub(super) outlier_detection: Option<OutlierDetection>,
    pub(super) tls: Option<ClientTls>,
    pub(super) retry_budget: Option<RetryBudget>,
    pub(super) proxy_protocol: Option<ProxyProtocol>,
}

impl Policy {
    /// For a port of the whole service, or of a subset.
    pub(super) fn of(rule: Option<&DestinationRule>, subset: &str, port: u16) -> Self {
        let mut policy = Self::default();
        let Some(rule) = rule else { return policy };
        policy.apply(rule.traffic_policy.as_ref(), port);
        let subset = rule.subsets.iter().find(|one| one.name == subset && !subset.is_empty());
        policy.apply(subset.and_then(|subset| subset.traffic_policy.as_ref()), port);
        policy
    }

    /// The same where a service keeps its callers and no rule says how an instance is chosen: by the caller's address.
    pub(super) fn keeping_callers_of(mut self, service: &Service) -> Self {
        let said = |balancer: &LoadBalancer| balancer.simple.is_some() || balancer.consistent_hash.is_some();
        if service.keeps_callers && !self.load_balancer.as_ref().is_some_and(said) {
            let by_address = ConsistentHash { use_source_ip: true, ..ConsistentHash::default() };
            self.load_balancer.get_or_insert_default().consistent_hash = Some(by_address);
        }
        self
    }

    fn apply(&mut self, settings: Option<&TrafficPolicy>, port: u16) {
        let Some(settings) = settings else { return };
        replace(&mut self.load_balancer, &settings.load_balancer);
        replace(&mut self.connection_pool, &settings.connection_pool);
        replace(&mut self.outlier_detection, &settings.outlier_detection);
        replace(&mut self.tls, &settings.tls);
        replace(&mut self.retry_budget, &settings.retry_budget);
        replace(&mut self.proxy_protocol, &settings.proxy_protocol);
        let ports = &settings.port_level_settings;
        let one = ports.iter().find(|one| one.port.as_ref().is_some_and(|selector| selector.number == port));
        if let Some(one) = one {
            // A port's settings stand alone: what they do not say is not inherited (Istio's rule).
            self.load_balancer = one.load_balancer.clone();
            self.connection_pool = one.connection_pool.clone();
            self.outlier_detection = one.outlier_detection.clone();
            self.tls = one.tls.clone();
        }
    }
}

fn replace<T: Clone>(held: &mut Option<T>, said: &Option<T>) {
    if let Some(said) = said {
        *held = Some(said.clone());
    }
}
