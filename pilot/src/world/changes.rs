//! What an edit bears on. Everything that is made of a world depends on hosts; where few of them are concerned, what
//! depends on none of those is not made again.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use galley::api::{EndpointSlice, VirtualService};
use galley::{Key, Object, Objects, Table};
use imbl::ordmap::DiffItem;

use super::{full_host, host_matches};

/// What is different between a world and the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Anything may be.
    Everything,
    /// What is said of these hosts.
    Hosts {
        /// Which they are.
        hosts: Hosts,
        /// Nothing but who serves them.
        only_instances: bool,
    },
}

/// Some hosts: whole names, wildcards, and addresses at which services are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    whole: BTreeSet<Arc<str>>,
    wild: BTreeSet<Arc<str>>,
}

/// Stands, among what a resource depends on, for all hosts that are wildcards.
pub(crate) const WILDCARDS: &str = "*";

impl Hosts {
    pub(crate) fn insert(&mut self, host: &str) {
        let hosts = if host.starts_with('*') { &mut self.wild } else { &mut self.whole };
        hosts.insert(host.into());
    }

    /// True if what depends on this host is concerned.
    pub(crate) fn concern(&self, host: &str) -> bool {
        let covers = |wild: &Arc<str>| host == WILDCARDS || **wild == *host || host_matches(wild, host);
        self.whole.contains(host) || self.wild.iter().any(covers)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.wild.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.whole.iter().chain(&self.wild)
    }
}

/// What of the objects is different, if nothing is but what tells of routes and of instances.
#[derive(Default)]
pub(super) struct Difference {
    /// Hosts of VirtualServices that changed.
    pub(super) routed: Hosts,
    /// Services of Kubernetes whose EndpointSlices changed.
    pub(super) services: BTreeSet<Key>,
    /// Namespaces whose pods or WorkloadEntries changed, and the addresses of those.
    pub(super) namespaces: BTreeSet<Arc<str>>,
    pub(super) addresses: BTreeSet<IpAddr>,
}

impl Difference {
    /// `None` if anything else is different.
    pub(super) fn between(one: &Objects, other: &Objects) -> Option<Self> {
        if !rest_is_same(one, other) {
            return None;
        }
        let mut found = Self::default();
        let slices = changed(&one.endpoint_slices, &other.endpoint_slices);
        found.services.extend(slices.into_iter().filter_map(service_of));
        for pod in changed(&one.pods, &other.pods) {
            let status = &pod.spec.status;
            let all = std::iter::once(&status.pod_ip).chain(status.pod_ips.iter().map(|one| &one.ip));
            found.addresses.extend(all.filter_map(|address| address.parse::<IpAddr>().ok()));
            found.namespaces.insert(pod.meta.namespace.clone());
        }
        if !found.namespaces.is_empty() {
            let reached = other.endpoint_slices.values().filter_map(|slice| found.reaches(slice));
            let reached: Vec<Key> = reached.collect();
            found.services.extend(reached);
        }
        for entry in changed(&one.workload_entries, &other.workload_entries) {
            found.addresses.extend(entry.spec.address.parse::<IpAddr>());
            found.namespaces.insert(entry.meta.namespace.clone());
        }
        for object in changed(&one.virtual_services, &other.virtual_services) {
            hosts_of(object, &mut found.routed);
            if object.spec.hosts.is_empty() {
                let roots = one.virtual_services.values().chain(other.virtual_services.values());
                roots.filter(|root| delegates(root, object)).for_each(|root| hosts_of(root, &mut found.routed));
            }
        }
        Some(found)
    }

    /// The service of a slice with pods of another namespace, if that is among those where workloads changed.
    fn reaches(&self, slice: &Object<EndpointSlice>) -> Option<Key> {
        let targets = slice.spec.endpoints.iter().filter_map(|endpoint| endpoint.target_ref.as_ref());
        let mut elsewhere = targets.map(|target| target.namespace.as_str());
        let reaches = |namespace: &str| namespace != &*slice.meta.namespace && self.namespaces.contains(namespace);
        elsewhere.any(reaches).then(|| service_of(slice))?
    }

    /// True if workloads are others, and with them what is known of addresses.
    pub(super) fn moves_workloads(&self) -> bool {
        !self.namespaces.is_empty()
    }
}

/// The Service that a slice has endpoints of.
fn service_of(slice: &Object<EndpointSlice>) -> Option<Key> {
    let name = slice.meta.labels.get("kubernetes.io/service-name")?;
    Some(Key { namespace: slice.meta.namespace.clone(), name: name.as_str().into() })
}

fn hosts_of(object: &Object<VirtualService>, hosts: &mut Hosts) {
    object.spec.hosts.iter().for_each(|host| hosts.insert(&full_host(host, &object.meta.namespace)));
}

/// True if a rule of one VirtualService is delegated to another.
fn delegates(root: &Object<VirtualService>, to: &Object<VirtualService>) -> bool {
    root.spec.http.iter().filter_map(|rule| rule.delegate.as_ref()).any(|delegate| {
        let namespace = if delegate.namespace.is_empty() { &root.meta.namespace } else { delegate.namespace.as_str() };
        *to.meta.name == *delegate.name && *to.meta.namespace == *namespace
    })
}

/// The objects, old and new, that are not the same in both tables.
fn changed<'a, T: PartialEq>(one: &'a Table<T>, other: &'a Table<T>) -> Vec<&'a Object<T>> {
    let differences = one.diff(other).map(|item| match item {
        DiffItem::Add(_, added) => [Some(added), None],
        DiffItem::Remove(_, removed) => [Some(removed), None],
        DiffItem::Update { old: (_, old), new: (_, new) } => [Some(old), Some(new)],
    });
    differences.flatten().flatten().collect()
}

/// True if nothing but what tells of routes and of instances differs.
fn rest_is_same(one: &Objects, other: &Objects) -> bool {
    let rest = Objects {
        virtual_services: one.virtual_services.clone(),
        pods: one.pods.clone(),
        endpoint_slices: one.endpoint_slices.clone(),
        workload_entries: one.workload_entries.clone(),
        ..other.clone()
    };
    one.same_as(&rest)
}
