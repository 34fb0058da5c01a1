//! Which VirtualServices speak of a host.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use galley::api::{self, VirtualService};
use galley::{Object, Objects};

use super::{full_host, host_matches};

/// The VirtualServices, by the hosts that they name.
#[derive(Default)]
pub(super) struct Routing {
    /// The oldest first.
    all: Vec<Object<VirtualService>>,
    exact: HashMap<String, Vec<usize>>,
    wild: Vec<(String, usize)>,
    /// Labels of callers by which some rule tells whom it is for (`sourceLabels`).
    asked_labels: BTreeSet<String>,
}

impl Routing {
    pub(super) fn of(objects: &Objects) -> Self {
        let mut all: Vec<_> = objects.virtual_services.values().cloned().collect();
        all.sort_by(|one, other| one.meta.precedence().cmp(&other.meta.precedence()));
        let mut this = Self::default();
        for (index, object) in all.iter().enumerate() {
            for host in &object.spec.hosts {
                let host = full_host(host, &object.meta.namespace);
                match host.starts_with('*') {
                    true => this.wild.push((host, index)),
                    false => this.exact.entry(host).or_default().push(index),
                }
            }
            this.asked_labels.extend(source_labels(&object.spec).cloned());
        }
        Self { all, ..this }
    }

    /// All, the oldest first.
    pub(super) fn all(&self) -> &[Object<VirtualService>] {
        &self.all
    }

    /// Those that name a host: those that name it most closely first, and of these the oldest.
    pub(super) fn about(&self, host: &str) -> Vec<&Object<VirtualService>> {
        let wild = self.wild.iter().filter(|(pattern, _)| host_matches(pattern, host));
        let wild = wild.map(|(pattern, index)| (Reverse(closeness(pattern)), *index));
        let exact = self.exact.get(host).into_iter().flatten();
        let exact = exact.map(|index| (Reverse(closeness(host)), *index));
        let mut found: Vec<_> = exact.chain(wild).collect();
        found.sort_unstable();
        let mut seen = BTreeSet::new();
        found.retain(|(_, index)| seen.insert(*index));
        found.into_iter().map(|(_, index)| &self.all[index]).collect()
    }

    pub(super) fn asked_labels(&self) -> &BTreeSet<String> {
        &self.asked_labels
    }
}

/// How closely a host names what it covers: a whole name before a wildcard, a longer one before a shorter one.
pub(crate) fn closeness(host: &str) -> (bool, usize) {
    (!host.starts_with('*'), host.len())
}

fn source_labels(spec: &VirtualService) -> impl Iterator<Item = &String> {
    let http = spec.http.iter().flat_map(|rule: &api::HttpRoute| &rule.matches).map(|one| &one.source_labels);
    let tls = spec.tls.iter().flat_map(|rule| &rule.matches).map(|one| &one.source_labels);
    let tcp = spec.tcp.iter().flat_map(|rule| &rule.matches).map(|one| &one.source_labels);
    http.chain(tls).chain(tcp).flat_map(|labels| labels.keys())
}
