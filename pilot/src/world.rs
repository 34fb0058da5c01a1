//! The mesh at one moment, indexed: services with their instances, and the objects that concern them.

mod index;
mod instances;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use galley::api;
use galley::{Key, Object, Objects};
use mesh_types::{Labels, Protocol};

use crate::proxy::Proxy;
use crate::shelf::Shelf;

pub(crate) use index::Served;
pub(crate) use instances::Instance;

use index::Index;
use instances::Registry;

/// The mesh at one moment.
pub struct World {
    pub(crate) objects: Arc<Objects>,
    pub(crate) mesh: Arc<api::MeshConfig>,
    /// By host name.
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) trust_domain: String,
    /// How many worlds came before it.
    pub(crate) generation: u64,
    /// What is different from the one before it.
    pub(crate) changed: Changed,
    index: Index,
    /// Resources made so far; what all see alike is made once.
    pub(crate) shelf: Shelf,
}

/// What is different between a world and the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Anything may be.
    Everything,
    /// Only who serves these hosts.
    Instances(BTreeSet<String>),
}

/// A service, whoever registered it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Service {
    pub(crate) host: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ports: Vec<Port>,
    /// It is not in Kubernetes: a ServiceEntry.
    pub(crate) external: bool,
    pub(crate) resolution: Resolution,
    pub(crate) export_to: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Endpoints are known.
    Endpoints,
    /// Endpoints are names.
    Dns,
    /// Wherever the caller wanted to go.
    Passthrough,
}

/// A port with those who serve it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Port {
    pub(crate) number: u16,
    pub(crate) protocol: Protocol,
    pub(crate) instances: Vec<Instance>,
}

impl World {
    /// The first world.
    pub fn build(objects: &Arc<Objects>) -> Self {
        let mesh = objects.mesh();
        let trust_domain =
            if mesh.trust_domain.is_empty() { "cluster.local".to_owned() } else { mesh.trust_domain.clone() };
        let registry = Registry::new(objects);
        let mut services = BTreeMap::new();
        for (key, object) in objects.services.iter() {
            let service = from_kubernetes(&registry, key, object);
            services.insert(service.host.clone(), service);
        }
        for (key, object) in objects.service_entries.iter() {
            for service in from_entry(&registry, key, object) {
                services.entry(service.host.clone()).or_insert(service);
            }
        }
        Self {
            objects: objects.clone(),
            mesh,
            index: Index::of(&services),
            services,
            trust_domain,
            generation: 0,
            changed: Changed::Everything,
            shelf: Shelf::default(),
        }
    }

    /// What it was made of.
    pub fn objects(&self) -> &Arc<Objects> {
        &self.objects
    }

    /// How many worlds came before it.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The world after this one. Where only instances came or went, what does not depend on them is not made again.
    #[must_use]
    pub fn next(&self, objects: &Arc<Objects>) -> Self {
        let mut next = Self::build(objects);
        next.generation = self.generation + 1;
        if only_instances(&self.objects, objects)
            && let Some(hosts) = changed_hosts(&self.services, &next.services)
        {
            next.shelf = self.shelf.without(&hosts);
            next.changed = Changed::Instances(hosts);
        }
        next
    }

    /// Services that can be called at an address: their own, or an instance's where they have none.
    pub(crate) fn at_address(&self, address: IpAddr) -> impl Iterator<Item = &Service> {
        self.index.at(address).filter_map(|host| self.services.get(host))
    }

    /// Services with this port.
    pub(crate) fn at_port(&self, port: u16) -> impl Iterator<Item = &Service> {
        self.index.at_port(port).filter_map(|host| self.services.get(host))
    }

    /// Ports that a workload serves, by its address.
    pub(crate) fn served_by(&self, address: &str) -> &[Served] {
        self.index.served_by(address)
    }

    /// True if a service is exported to a proxy's namespace.
    pub(crate) fn is_exported(&self, proxy: &Proxy, service: &Service) -> bool {
        is_exported(&service.export_to, &service.namespace, proxy.namespace())
    }

    /// True if a proxy may see a service: it is exported, and its `Sidecar` does not leave it out.
    pub(crate) fn sees(&self, proxy: &Proxy, service: &Service) -> bool {
        self.is_exported(proxy, service) && proxy.scope().is_none_or(|scope| scope.sees(service))
    }

    /// Istio's root namespace.
    pub(crate) fn root_namespace(&self) -> &str {
        if self.mesh.root_namespace.is_empty() { "istio-system" } else { &self.mesh.root_namespace }
    }

    /// Services that a proxy may see.
    pub(crate) fn visible<'a>(&'a self, proxy: &'a Proxy) -> impl Iterator<Item = &'a Service> {
        self.services.values().filter(move |service| self.sees(proxy, service))
    }

    /// A host as an object of a namespace writes it, in full.
    pub(crate) fn full_host(&self, host: &str, namespace: &str) -> String {
        if host.contains('.') || host.contains('*') || host.is_empty() {
            host.to_owned()
        } else {
            format!("{host}.{namespace}.svc.cluster.local")
        }
    }

    /// The DestinationRule for a service, as a proxy of `namespace` sees it: its own namespace's before the service's,
    /// before the root namespace's.
    pub(crate) fn destination_rule(&self, service: &Service, namespace: &str) -> Option<&Object<api::DestinationRule>> {
        let candidates = self.objects.destination_rules.values().filter(|rule| {
            let host = self.full_host(&rule.spec.host, &rule.meta.namespace);
            host_matches(&host, &service.host)
                && is_exported(&rule.spec.export_to, &rule.meta.namespace, namespace)
                && rule.spec.workload_selector.is_none()
        });
        candidates.min_by_key(|rule| {
            let place = [namespace, &service.namespace, self.root_namespace()];
            let place = place.iter().position(|place| **place == *rule.meta.namespace).unwrap_or(3);
            (place, rule.spec.host.starts_with('*'), rule.meta.name.clone())
        })
    }
}

/// True if nothing but what tells of instances differs.
fn only_instances(one: &Objects, other: &Objects) -> bool {
    let rest = |objects: &Objects| Objects {
        pods: Arc::default(),
        endpoint_slices: Arc::default(),
        workload_entries: Arc::default(),
        nodes: Arc::default(),
        ..objects.clone()
    };
    // Empty tables made here share no pointer, so that they are taken from one side.
    let one = rest(one);
    let other = Objects {
        pods: one.pods.clone(),
        endpoint_slices: one.endpoint_slices.clone(),
        workload_entries: one.workload_entries.clone(),
        nodes: one.nodes.clone(),
        ..other.clone()
    };
    one.same_as(&other)
}

/// The hosts whose instances differ; `None` if more than that does.
fn changed_hosts(one: &BTreeMap<String, Service>, other: &BTreeMap<String, Service>) -> Option<BTreeSet<String>> {
    let bare = |service: &Service| {
        let mut bare = service.clone();
        bare.ports.iter_mut().for_each(|port| port.instances.clear());
        bare
    };
    if one.len() != other.len() {
        return None;
    }
    let mut hosts = BTreeSet::new();
    for (service, now) in one.values().zip(other.values()) {
        if service == now {
            continue;
        }
        if bare(service) != bare(now) {
            return None;
        }
        hosts.insert(now.host.clone());
    }
    Some(hosts)
}

/// `.` is the object's own namespace, `*` all, `~` none; nothing said is all.
pub(crate) fn is_exported(export_to: &[String], own: &str, namespace: &str) -> bool {
    export_to.is_empty()
        || export_to.iter().any(|to| match to.as_str() {
            "*" => true,
            "." => own == namespace,
            to => to == namespace,
        })
}

/// True if a host, exact or `*.suffix`, covers another.
pub(crate) fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}

fn from_kubernetes(registry: &Registry<'_>, key: &Key, object: &Object<api::Service>) -> Service {
    let spec = &object.spec.spec;
    let addresses = spec.cluster_ips.iter().chain([&spec.cluster_ip]).chain(&spec.external_ips);
    let mut addresses: Vec<IpAddr> = addresses.filter_map(|address| address.parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let export_to = object.meta.annotations.get("networking.istio.io/exportTo");
    let external = spec.service_type == api::ServiceType::ExternalName;
    let ports = spec.ports.iter().map(|port| Port {
        number: port.port,
        protocol: Protocol::of_port(port.port, &port.name, port.app_protocol.as_deref(), &port.protocol),
        instances: registry.of_service(key, spec, port),
    });
    Service {
        host: format!("{}.{}.svc.cluster.local", key.name, key.namespace),
        name: key.name.to_string(),
        namespace: key.namespace.to_string(),
        addresses,
        ports: ports.filter(|port| port.protocol != Protocol::Udp).collect(),
        external,
        resolution: if external { Resolution::Dns } else { Resolution::Endpoints },
        export_to: export_to.map(|list| list.split(',').map(|one| one.trim().to_owned()).collect()).unwrap_or_default(),
    }
}

fn from_entry(registry: &Registry<'_>, key: &Key, object: &Object<api::ServiceEntry>) -> Vec<Service> {
    let spec = &object.spec;
    let addresses: Vec<IpAddr> = spec.addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let service = |host: &String| Service {
        host: host.clone(),
        name: host.clone(),
        namespace: key.namespace.to_string(),
        addresses: addresses.clone(),
        ports: spec
            .ports
            .iter()
            .map(|port| Port {
                number: port.number,
                protocol: Protocol::parse(&port.protocol).unwrap_or(Protocol::of_port(
                    port.number,
                    &port.name,
                    None,
                    "TCP",
                )),
                instances: registry.of_entry(key, spec, port),
            })
            .collect(),
        external: spec.location == api::Location::MeshExternal,
        resolution: match spec.resolution {
            api::Resolution::None => Resolution::Passthrough,
            api::Resolution::Static => Resolution::Endpoints,
            _ => Resolution::Dns,
        },
        export_to: spec.export_to.clone(),
    };
    spec.hosts.iter().map(service).collect()
}

/// Istio's canonical name and revision of a workload.
pub(crate) fn canonical(labels: &Labels, workload: &str) -> (String, String) {
    let first = |keys: [&str; 3]| keys.iter().find_map(|key| labels.get(*key)).cloned();
    let name = first(["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]);
    let revision = first(["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
    (name.unwrap_or_else(|| workload.to_owned()), revision.unwrap_or_else(|| "latest".to_owned()))
}
