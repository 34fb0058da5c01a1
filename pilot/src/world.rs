//! The mesh at one moment, indexed: services with their instances, and the objects that concern them.

mod changes;
mod index;
mod instances;
mod mtls;
mod place;
mod routing;
mod rules;
mod service;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use galley::api;
use galley::{Object, Objects};
use mesh_types::Labels;

use crate::proxy::Proxy;
use crate::shelf::Shelf;

pub(crate) use changes::{Changed, Hosts, WILDCARDS};
pub(crate) use index::Served;
pub(crate) use instances::Instance;
pub(crate) use mtls::Modes;
pub(crate) use place::{NODE, Place, REGION, SUBZONE, ZONE};
pub(crate) use routing::closeness;
pub(crate) use service::{Nearness, Port, Resolution, Service, Services};

use changes::Difference;
use index::Index;
use instances::Registry;
use routing::Routing;
use rules::Rules;

/// The mesh at one moment.
pub struct World {
    /// What the mesh looks at, with what is made of Ingresses.
    pub(crate) objects: Arc<Objects>,
    /// What the mesh looks at, as it was written.
    written: Arc<Objects>,
    /// All that there is.
    given: Arc<Objects>,
    pub(crate) mesh: Arc<api::MeshConfig>,
    pub(crate) services: Arc<Services>,
    rules: Arc<Rules>,
    routing: Arc<Routing>,
    /// Where workloads run, by address.
    places: Arc<HashMap<IpAddr, Place>>,
    pub(crate) trust_domain: String,
    /// How many worlds came before it.
    pub(crate) generation: u64,
    /// What is different from the one before it.
    pub(crate) changed: Changed,
    index: Arc<Index>,
    /// Resources made so far; what all see alike is made once.
    pub(crate) shelf: Shelf,
}

impl World {
    /// The first world.
    pub fn build(given: &Arc<Objects>) -> Self {
        let mesh = given.mesh();
        let trust_domain =
            if mesh.trust_domain.is_empty() { "cluster.local".to_owned() } else { mesh.trust_domain.clone() };
        let (written, objects) = looked_at(given, None);
        let registry = Registry::new(&objects, mesh.root());
        let services = Services::of(&objects, &mesh, &registry);
        let rules = Rules::of(&objects, &mesh);
        let routing = Routing::of(&objects);
        let near = labels_of_near(&services, &objects, &mesh);
        Self {
            places: Arc::new(instances::places(&objects)),
            index: Arc::new(Index::of(&services)),
            shelf: Shelf::new(near, routing.asked_labels().clone(), apart(&services, &rules)),
            objects,
            written,
            given: given.clone(),
            mesh,
            services: Arc::new(services),
            rules: Arc::new(rules),
            routing: Arc::new(routing),
            trust_domain,
            generation: 0,
            changed: Changed::Everything,
        }
    }

    /// The trust domains that identities of the mesh may be of: its own, then its aliases (`trustDomainAliases`).
    pub(crate) fn trust_domains(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.trust_domain).chain(&self.mesh.trust_domain_aliases)
    }

    /// What it was made of: all that there was.
    pub fn given(&self) -> &Arc<Objects> {
        &self.given
    }

    /// The objects that the mesh looks at, as they were written.
    pub fn written(&self) -> &Arc<Objects> {
        &self.written
    }

    /// How many worlds came before it.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The world after this one. Where only routes, or those who serve some hosts, are others, what does not depend on
    /// these hosts is not made again.
    #[must_use]
    pub fn next(&self, given: &Arc<Objects>) -> Self {
        let generation = self.generation + 1;
        let (written, objects) = looked_at(given, Some(self));
        match Difference::between(&self.objects, &objects) {
            Some(difference) => {
                Self { written, given: given.clone(), generation, ..self.differing(&difference, objects) }
            }
            None => Self { generation, ..Self::build(given) },
        }
    }

    /// With objects that differ in what tells of routes and of instances.
    fn differing(&self, difference: &Difference, objects: Arc<Objects>) -> Self {
        let (services, hosts) = self.serving(difference, &objects);
        let mut concerned = difference.routed.clone();
        for host in &hosts {
            concerned.insert(host);
            // Another service may be what is found at an instance's address now.
            let both = [&self.services, &services].into_iter().flat_map(|services| services.registered(host));
            let found = both.flat_map(|service| service.ports.iter().flat_map(|port| service.called_at(port)));
            found.for_each(|address| concerned.insert(&address.to_string()));
        }
        let routes_stay = difference.routed.is_empty();
        let routing = if routes_stay { self.routing.clone() } else { Arc::new(Routing::of(&objects)) };
        let places =
            if difference.moves_workloads() { Arc::new(instances::places(&objects)) } else { self.places.clone() };
        let index = match hosts.is_empty() {
            true => self.index.clone(),
            false => Arc::new(self.index.next(hosts.iter(), &self.services, &services)),
        };
        Self {
            shelf: self.shelf.next(&concerned, routing.asked_labels()),
            changed: Changed::Hosts { hosts: concerned, only_instances: routes_stay },
            written: self.written.clone(),
            given: self.given.clone(),
            mesh: self.mesh.clone(),
            rules: self.rules.clone(),
            trust_domain: self.trust_domain.clone(),
            generation: self.generation,
            index,
            objects,
            services,
            routing,
            places,
        }
    }

    /// The services with the instances that they have after a difference, and the hosts of which these are others.
    fn serving(&self, difference: &Difference, objects: &Objects) -> (Arc<Services>, BTreeSet<Arc<str>>) {
        let registered_at = difference.addresses.iter().flat_map(|address| self.index.served_by(*address));
        let named = difference.services.iter().cloned();
        let mut hosts = self.services.hosts_served(named, &difference.namespaces, objects);
        hosts.extend(registered_at.map(|served| served.host.clone()));
        if hosts.is_empty() {
            return (self.services.clone(), hosts);
        }
        let namespaces = hosts.iter().flat_map(|host| self.services.registered(host));
        let namespaces: BTreeSet<&str> = namespaces.map(|service| service.namespace.as_str()).collect();
        let registry = Registry::within(objects, self.mesh.root(), &namespaces);
        let services = self.services.next(&hosts, objects, &self.mesh, &registry);
        hosts.retain(|host| !services.registered(host).eq(self.services.registered(host)));
        (Arc::new(services), hosts)
    }

    /// Services that can be called at an address: their own, or an instance's where they have none.
    pub(crate) fn at_address(&self, address: IpAddr) -> impl Iterator<Item = &Service> {
        self.index.at(&self.services, address)
    }

    /// Services with this port.
    pub(crate) fn at_port(&self, port: u16) -> impl Iterator<Item = &Service> {
        self.index.at_port(&self.services, port)
    }

    /// What a host means to a proxy: what its own namespace registered under it, else the first that it is let have.
    pub(crate) fn service(&self, proxy: &Proxy, host: &str) -> Option<&Service> {
        let exported = |service: &&Service| is_exported(&service.export_to, &service.namespace, proxy.namespace());
        let mut all = self.services.registered(host).filter(exported);
        let own = self.services.registered(host).find(|one| one.namespace == proxy.namespace() && exported(one));
        own.or_else(|| all.next())
    }

    /// Where a workload runs, if the registry knows.
    pub(crate) fn place_of(&self, address: IpAddr) -> Option<&Place> {
        self.places.get(&address)
    }

    /// Ports that a workload serves, by its address.
    pub(crate) fn served_by(&self, address: IpAddr) -> &[Served] {
        self.index.served_by(address)
    }

    /// True if a proxy may see a service: it is what its host means to it, and its `Sidecar` does not leave it out.
    pub(crate) fn sees(&self, proxy: &Proxy, service: &Service) -> bool {
        self.service(proxy, &service.host).is_some_and(|one| std::ptr::eq(one, service))
            && proxy.scope().is_none_or(|scope| scope.sees(service))
    }

    /// Istio's root namespace.
    pub(crate) fn root_namespace(&self) -> &str {
        self.mesh.root()
    }

    /// Services that a proxy may see.
    pub(crate) fn visible<'a>(&'a self, proxy: &'a Proxy) -> impl Iterator<Item = &'a Service> {
        self.services.values().filter(move |service| self.sees(proxy, service))
    }

    /// A host as an object of a namespace writes it, in full.
    pub(crate) fn full_host(&self, host: &str, namespace: &str) -> String {
        full_host(host, namespace)
    }

    /// The VirtualServices, the oldest first.
    pub(crate) fn virtual_services(&self) -> &[Object<api::VirtualService>] {
        self.routing.all()
    }

    /// The VirtualServices that name a host: those that name it most closely first, and of these the oldest.
    pub(crate) fn virtual_services_about(&self, host: &str) -> Vec<&Object<api::VirtualService>> {
        self.routing.about(host)
    }

    /// The DestinationRule for a service, as a proxy of `namespace` sees it.
    pub(crate) fn destination_rule(&self, service: &Service, namespace: &str) -> Option<&Object<api::DestinationRule>> {
        self.rules.about(service, namespace, self.root_namespace())
    }
}

/// Which namespaces see services and the terms of calling them in a way of their own; `None` if any may.
fn apart(services: &Services, rules: &Rules) -> Option<BTreeSet<Arc<str>>> {
    let is_public = services.values().all(|service| is_public(&service.export_to));
    (is_public && services.are_unique()).then(|| rules.namespaces_apart()).flatten()
}

/// True for what every namespace sees.
pub(crate) fn is_public(export_to: &[String]) -> bool {
    export_to.is_empty() || export_to.iter().any(|to| to == "*")
}

/// What the mesh looks at of all that there is: as it was written, and with what is made of Ingresses. Tables that say the
/// same as in the world before keep their pointers.
fn looked_at(given: &Arc<Objects>, before: Option<&World>) -> (Arc<Objects>, Arc<Objects>) {
    let sharing = |made: Objects| match before {
        Some(world) => Arc::new(made.sharing(&world.objects)),
        None => Arc::new(made),
    };
    let written = given.discovered().map_or_else(|| given.clone(), sharing);
    let objects = written.with_ingresses().map_or_else(|| written.clone(), sharing);
    (written, objects)
}

/// The labels of callers that decide, somewhere, how near an instance is.
fn labels_of_near(services: &Services, objects: &Objects, mesh: &api::MeshConfig) -> BTreeSet<String> {
    let rules = objects.destination_rules.values().flat_map(|rule| rule.spec.policies());
    let ports = |policy: &api::TrafficPolicy| {
        let balancers = policy.port_level_settings.iter().map(|port| port.load_balancer.clone());
        balancers.chain([policy.load_balancer.clone()]).flatten().collect::<Vec<_>>()
    };
    let settings = rules.flat_map(ports).filter_map(|balancer| balancer.locality_lb_setting);
    let asked = settings.chain(mesh.locality_lb_setting.clone()).flat_map(|setting| setting.failover_priority);
    let on_node = |service: &Service| matches!(service.nearness, Nearness::Node | Nearness::OnlyNode);
    let node = services.values().any(on_node).then(|| NODE.to_owned());
    asked.filter(|label| !label.contains('=')).chain(node).collect()
}

/// A host as an object of a namespace writes it, in full.
fn full_host(host: &str, namespace: &str) -> String {
    if host.contains('.') || host.contains('*') || host.is_empty() {
        host.to_owned()
    } else {
        format!("{host}.{namespace}.svc.cluster.local")
    }
}

/// What was said or, if nothing was, the mesh's default.
pub(crate) fn or_default<'a>(said: &'a [String], default: &'a [String]) -> &'a [String] {
    if said.is_empty() { default } else { said }
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

/// Istio's canonical name and revision of a workload.
pub(crate) fn canonical(labels: &Labels, workload: &str) -> (String, String) {
    let first = |keys: [&str; 3]| keys.iter().find_map(|key| labels.get(*key)).cloned();
    let name = first(["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]);
    let revision = first(["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
    (name.unwrap_or_else(|| workload.to_owned()), revision.unwrap_or_else(|| "latest".to_owned()))
}
