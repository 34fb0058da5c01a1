//! Which DestinationRule holds for a service.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use galley::api::{DestinationRule, MeshConfig};
use galley::{Object, Objects};

use super::{Service, full_host, host_matches, is_exported, is_public, or_default};

/// The DestinationRules, by namespace. Those of a namespace for one host and the same readers are one.
#[derive(Default)]
pub(super) struct Rules {
    by_namespace: HashMap<Arc<str>, Hosts>,
}

/// The rules of one namespace, by host.
#[derive(Default)]
struct Hosts {
    exact: HashMap<String, Vec<Object<DestinationRule>>>,
    /// The longest first.
    wild: Vec<(String, Vec<Object<DestinationRule>>)>,
}

impl Rules {
    pub(super) fn of(objects: &Objects, mesh: &MeshConfig) -> Self {
        let mut all: Vec<_> = objects.destination_rules.values().collect();
        all.retain(|rule| rule.spec.workload_selector.is_none());
        all.sort_by(|one, other| one.meta.precedence().cmp(&other.meta.precedence()));
        let mut this = Self::default();
        for rule in all {
            let hosts = this.by_namespace.entry(rule.meta.namespace.clone()).or_default();
            let export_to = or_default(&rule.spec.export_to, &mesh.default_destination_rule_export_to);
            let spec = DestinationRule { export_to: export_to.to_vec(), ..(*rule.spec).clone() };
            hosts.add(
                full_host(&rule.spec.host, &rule.meta.namespace),
                &Object { spec: Arc::new(spec), ..rule.clone() },
            );
        }
        for hosts in this.by_namespace.values_mut() {
            hosts.wild.sort_by_key(|(host, _)| Reverse(host.len()));
        }
        this
    }

    /// The namespaces that have rules of their own; `None` if some rule is not for all namespaces.
    pub(super) fn namespaces_apart(&self) -> Option<BTreeSet<Arc<str>>> {
        let mut all = self
            .by_namespace
            .values()
            .flat_map(|hosts| hosts.exact.values().chain(hosts.wild.iter().map(|(_, rules)| rules)))
            .flatten();
        all.all(|rule| is_public(&rule.spec.export_to)).then(|| self.by_namespace.keys().cloned().collect())
    }

    /// The rule for a service as clients of a namespace see it: their own namespace's before the service's, before the
    /// root namespace's. Nobody else has a say. Within a namespace the most specific host counts.
    pub(super) fn about(&self, service: &Service, client: &str, root: &str) -> Option<&Object<DestinationRule>> {
        let places = [client, &service.namespace, root];
        places.iter().find_map(|place| self.by_namespace.get(*place)?.about(&service.host, client))
    }
}

impl Hosts {
    fn add(&mut self, host: String, rule: &Object<DestinationRule>) {
        let rules = if !host.starts_with('*') {
            self.exact.entry(host).or_default()
        } else if let Some(at) = self.wild.iter().position(|(held, _)| *held == host) {
            &mut self.wild[at].1
        } else {
            self.wild.push((host, Vec::new()));
            let last = self.wild.len() - 1;
            &mut self.wild[last].1
        };
        match rules.iter_mut().find(|held| held.spec.export_to == rule.spec.export_to) {
            Some(held) => join(Arc::make_mut(&mut held.spec), &rule.spec),
            None => rules.push(rule.clone()),
        }
    }

    fn about(&self, host: &str, client: &str) -> Option<&Object<DestinationRule>> {
        let wild = self.wild.iter().filter(|(pattern, _)| host_matches(pattern, host)).flat_map(|(_, rules)| rules);
        let mut rules = self.exact.get(host).into_iter().flatten().chain(wild);
        rules.find(|rule| is_exported(&rule.spec.export_to, &rule.meta.namespace, client))
    }
}

/// Adds what a younger rule for the same host says: its subsets, and its policy if the older has none (Istio's rule).
fn join(older: &mut DestinationRule, younger: &DestinationRule) {
    if older.traffic_policy.is_none() {
        older.traffic_policy = younger.traffic_policy.clone();
    }
    for subset in &younger.subsets {
        if older.subsets.iter().all(|held| held.name != subset.name) {
            older.subsets.push(subset.clone());
        }
    }
}
