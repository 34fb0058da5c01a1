//! Services, whoever registered them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use galley::api::{self, MeshConfig};
use galley::{Key, Object, Objects};
use imbl::OrdMap;
use ipnet::IpNet;
use mesh_types::Protocol;

use super::instances::{Instance, Registry};
use super::{full_host, or_default};

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Service {
    pub(crate) host: Arc<str>,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) addresses: Vec<IpAddr>,
    /// Every address in these is its, too.
    pub(crate) ranges: Vec<IpNet>,
    pub(crate) ports: Vec<Port>,
    /// It is outside the mesh.
    pub(crate) external: bool,
    pub(crate) resolution: Resolution,
    pub(crate) export_to: Vec<String>,
    /// Names that its certificates may have besides the identities of its instances.
    pub(crate) subject_alt_names: Vec<String>,
    pub(crate) nearness: Nearness,
    /// Calls from one address go to one instance, unless a DestinationRule says otherwise (`sessionAffinity`).
    pub(crate) keeps_callers: bool,
    /// It is another name of a service of the mesh, at whose addresses it is found.
    pub(crate) alias: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Endpoints are known, and one is chosen for the caller.
    Endpoints,
    /// Endpoints are known, and the caller chooses one (a headless service).
    Headless,
    /// Endpoints are names; every address is one.
    Dns,
    /// Endpoints are names; one address of each is used.
    OneOfDns,
    /// Wherever the caller wanted to go.
    Passthrough,
}

/// Which instances a service wants its callers to prefer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Nearness {
    #[default]
    Any,
    /// Those of the caller's zone (`trafficDistribution: PreferClose` or `PreferSameZone`).
    Zone,
    /// Those on the caller's node (`PreferSameNode`).
    Node,
    /// None but those (`internalTrafficPolicy: Local`).
    OnlyNode,
}

/// A port with those who serve it, ready or not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Port {
    pub(crate) number: u16,
    pub(crate) protocol: Protocol,
    pub(crate) instances: Vec<Instance>,
}

/// All services by host. What several namespaces register under one host stays apart, since each is seen by others.
/// A copy shares all that is not changed in it.
#[derive(Clone, Default)]
pub(crate) struct Services {
    first: OrdMap<Arc<str>, Arc<Service>>,
    more: OrdMap<Arc<str>, Vec<Arc<Service>>>,
    /// Services of Kubernetes that are other names of something.
    aliases: Arc<Vec<Key>>,
}

impl Services {
    pub(super) fn of(objects: &Objects, mesh: &MeshConfig, registry: &Registry<'_>) -> Self {
        let aliases = objects.services.iter().filter(|(_, object)| is_alias(object)).map(|(key, _)| key.clone());
        let mut this = Self { aliases: Arc::new(aliases.collect()), ..Self::default() };
        this.register(objects.services.iter(), objects, mesh, registry, |_| true);
        this
    }

    /// The same where other instances serve these hosts.
    pub(super) fn next(
        &self,
        hosts: &BTreeSet<Arc<str>>,
        objects: &Objects,
        mesh: &MeshConfig,
        registry: &Registry<'_>,
    ) -> Self {
        let mut this = self.clone();
        for host in hosts {
            this.first.remove(host);
            this.more.remove(host);
        }
        let of_kubernetes = hosts.iter().filter_map(|host| objects.services.get_key_value(&key_of(host)?));
        this.register(of_kubernetes, objects, mesh, registry, |host| hosts.contains(host));
        this
    }

    /// The hosts of which instances may be others where those of some Services, or the workloads of some namespaces, are.
    pub(super) fn hosts_served(
        &self,
        services: impl IntoIterator<Item = Key>,
        namespaces: &BTreeSet<Arc<str>>,
        objects: &Objects,
    ) -> BTreeSet<Arc<str>> {
        let named = services.into_iter().map(|key| Arc::from(full_host(&key.name, &key.namespace)));
        let mut hosts: BTreeSet<Arc<str>> = named.filter(|host| self.first.contains_key(host)).collect();
        if !namespaces.is_empty() {
            let own = self.values().filter(|service| namespaces.contains(&*service.namespace));
            hosts.extend(own.map(|service| service.host.clone()));
        }
        let target = |key: &Key| objects.services.get(key).map(|object| object.spec.spec.external_name.as_str());
        let aliases = self.aliases.iter().filter(|key| target(key).is_some_and(|host| hosts.contains(host)));
        let aliases: Vec<_> = aliases.map(|key| Arc::from(full_host(&key.name, &key.namespace))).collect();
        hosts.extend(aliases);
        hosts
    }

    /// Adds those of Kubernetes' Services and, where their host is picked, of ServiceEntries. Kubernetes' own come first.
    fn register<'a>(
        &mut self,
        of_kubernetes: impl Iterator<Item = (&'a Key, &'a Object<api::Service>)>,
        objects: &Objects,
        mesh: &MeshConfig,
        registry: &Registry<'_>,
        picks: impl Fn(&str) -> bool,
    ) {
        let mut aliases = Vec::new();
        for (key, object) in of_kubernetes {
            if is_alias(object) {
                aliases.push((key, object));
            } else if object.spec.spec.service_type != api::ServiceType::ExternalName {
                self.add(from_kubernetes(registry, key, object, export_to(object, mesh)));
            }
        }
        let mut entries: Vec<_> = objects.service_entries.values().collect();
        entries.retain(|entry| entry.spec.hosts.iter().any(|host| picks(host)));
        entries.sort_by(|one, other| one.meta.precedence().cmp(&other.meta.precedence()));
        for object in entries {
            let export_to = or_default(&object.spec.export_to, &mesh.default_service_export_to);
            for host in object.spec.hosts.iter().filter(|host| picks(host)) {
                self.add(from_entry(registry, object, host, export_to));
            }
        }
        let aliases: Vec<_> =
            aliases.into_iter().map(|(key, object)| self.alias(key, object, export_to(object, mesh))).collect();
        aliases.into_iter().for_each(|alias| self.add(alias));
    }

    /// The one that was registered first.
    pub(crate) fn get(&self, host: &str) -> Option<&Service> {
        self.first.get(host).map(|service| &**service)
    }

    /// All that are registered under a host: Kubernetes' own, then the older.
    pub(crate) fn registered(&self, host: &str) -> impl Iterator<Item = &Service> {
        self.first.get(host).into_iter().chain(self.more.get(host).into_iter().flatten()).map(|service| &**service)
    }

    /// True if no host means one thing to one namespace and another to another.
    pub(super) fn are_unique(&self) -> bool {
        self.more.is_empty()
    }

    /// All, by host.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Service> {
        self.numbered().map(|(_, service)| service)
    }

    /// All, each with its place among those of its host.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &Service)> {
        self.first.keys().flat_map(|host| self.registered(host).enumerate())
    }

    fn add(&mut self, service: Service) {
        let Some(first) = self.first.get_mut(&service.host) else {
            self.first.insert(service.host.clone(), Arc::new(service));
            return;
        };
        if first.is_for_the_same(&service) {
            return Arc::make_mut(first).join(service);
        }
        let more = self.more.entry(service.host.clone()).or_default();
        match more.iter_mut().find(|held| held.is_for_the_same(&service)) {
            Some(held) => Arc::make_mut(held).join(service),
            None => more.push(Arc::new(service)),
        }
    }

    /// Another name (`ExternalName`) of a service of the mesh, or of a name outside.
    fn alias(&self, key: &Key, object: &Object<api::Service>, export_to: Vec<String>) -> Service {
        let spec = &object.spec.spec;
        let target = self.get(&spec.external_name);
        let declared = spec.ports.iter().filter(|port| is_tcp(port)).map(|port| Port {
            number: port.port,
            protocol: Protocol::of_port(port.port, &port.name, port.app_protocol.as_deref(), &port.protocol),
            instances: vec![Instance::named(&spec.external_name, port.port)],
        });
        Service {
            host: full_host(&key.name, &key.namespace).into(),
            name: key.name.to_string(),
            namespace: key.namespace.to_string(),
            addresses: Vec::new(),
            ranges: Vec::new(),
            ports: target.map_or_else(|| declared.collect(), |target| target.ports.clone()),
            external: target.is_none_or(|target| target.external),
            resolution: target.map_or(Resolution::Dns, |target| target.resolution),
            export_to,
            subject_alt_names: target.map(|target| target.subject_alt_names.clone()).unwrap_or_default(),
            nearness: target.map(|target| target.nearness).unwrap_or_default(),
            keeps_callers: target.is_some_and(|target| target.keeps_callers),
            alias: target.is_some(),
        }
    }
}

impl Service {
    /// Where a port can be called: at the service's addresses, or at its instances' if it has none but they are known.
    /// Ranges aside.
    pub(crate) fn called_at(&self, port: &Port) -> Vec<IpAddr> {
        if self.alias || !self.addresses.is_empty() || !self.ranges.is_empty() {
            return self.addresses.clone();
        }
        match self.resolution {
            Resolution::Endpoints | Resolution::Headless => {
                let ready = port.instances.iter().filter(|instance| instance.ready);
                ready.filter_map(|instance| instance.address.parse().ok()).collect()
            }
            Resolution::Dns | Resolution::OneOfDns | Resolution::Passthrough => Vec::new(),
        }
    }

    fn is_for_the_same(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.export_to == other.export_to
    }

    /// Adds what another object says of the same service: ports, and instances of ports that are there. Endpoints that
    /// are found in another way cannot be added.
    fn join(&mut self, other: Self) {
        let known = |resolution| matches!(resolution, Resolution::Endpoints | Resolution::Headless);
        if self.resolution != other.resolution && !(known(self.resolution) && known(other.resolution)) {
            return;
        }
        for port in other.ports {
            match self.ports.iter_mut().find(|held| held.number == port.number) {
                Some(held) => held.join(port),
                None => self.ports.push(port),
            }
        }
        self.addresses.extend(other.addresses);
        self.addresses.sort_unstable();
        self.addresses.dedup();
        self.ranges.extend(other.ranges);
        self.ranges.sort_unstable();
        self.ranges.dedup();
        self.subject_alt_names.extend(other.subject_alt_names);
    }
}

impl Port {
    fn join(&mut self, other: Self) {
        for instance in other.instances {
            let same = |held: &Instance| (&held.address, held.port) == (&instance.address, instance.port);
            if !self.instances.iter().any(same) {
                self.instances.push(instance);
            }
        }
    }
}

/// True for another name of something.
fn is_alias(object: &Object<api::Service>) -> bool {
    let spec = &object.spec.spec;
    spec.service_type == api::ServiceType::ExternalName && !spec.external_name.is_empty()
}

/// The Service of Kubernetes that a host is of.
fn key_of(host: &str) -> Option<Key> {
    let (name, namespace) = host.strip_suffix(".svc.cluster.local")?.split_once('.')?;
    Some(Key { namespace: namespace.into(), name: name.into() })
}

fn export_to(object: &Object<api::Service>, mesh: &MeshConfig) -> Vec<String> {
    match object.meta.annotations.get("networking.istio.io/exportTo") {
        Some(list) => list.split(',').map(|one| one.trim().to_owned()).collect(),
        None => mesh.default_service_export_to.clone(),
    }
}

fn is_tcp(port: &api::ServicePort) -> bool {
    matches!(port.protocol.as_str(), "" | "TCP")
}

fn from_kubernetes(
    registry: &Registry<'_>,
    key: &Key,
    object: &Object<api::Service>,
    export_to: Vec<String>,
) -> Service {
    let spec = &object.spec.spec;
    let addresses = spec.cluster_ips.iter().chain([&spec.cluster_ip]);
    let mut addresses: Vec<IpAddr> = addresses.filter_map(|address| address.parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ports = spec.ports.iter().filter(|port| is_tcp(port)).map(|port| Port {
        number: port.port,
        protocol: Protocol::of_port(port.port, &port.name, port.app_protocol.as_deref(), &port.protocol),
        instances: registry.of_service(key, spec, port),
    });
    // The annotation is Istio's older form of the field, and counts before it.
    let annotation = object.meta.annotations.get("networking.istio.io/traffic-distribution");
    let distribution = annotation.unwrap_or(&spec.traffic_distribution);
    Service {
        host: full_host(&key.name, &key.namespace).into(),
        name: key.name.to_string(),
        namespace: key.namespace.to_string(),
        addresses,
        ranges: Vec::new(),
        ports: ports.collect(),
        external: false,
        resolution: if spec.cluster_ip == "None" { Resolution::Headless } else { Resolution::Endpoints },
        export_to,
        subject_alt_names: Vec::new(),
        nearness: match (spec.internal_traffic_policy, distribution.as_str()) {
            (api::InternalTrafficPolicy::Local, _) => Nearness::OnlyNode,
            (_, "PreferClose" | "PreferSameZone") => Nearness::Zone,
            (_, "PreferSameNode") => Nearness::Node,
            _ => Nearness::Any,
        },
        keeps_callers: spec.session_affinity == api::SessionAffinity::ClientIp,
        alias: false,
    }
}

fn from_entry(
    registry: &Registry<'_>,
    object: &Object<api::ServiceEntry>,
    host: &str,
    export_to: &[String],
) -> Service {
    let spec = &object.spec;
    let ports = spec.ports.iter().map(|port| Port {
        number: port.number,
        protocol: Protocol::parse(&port.protocol)
            .unwrap_or_else(|| Protocol::of_port(port.number, &port.name, None, "TCP")),
        instances: registry.of_entry(&object.meta.namespace, spec, host, port),
    });
    let said = spec
        .addresses
        .iter()
        .filter_map(|address| address.parse::<IpAddr>().map(IpNet::from).or_else(|_| address.parse::<IpNet>()).ok());
    let (single, ranges): (Vec<IpNet>, Vec<IpNet>) = said.partition(|one| one.prefix_len() == one.max_prefix_len());
    Service {
        host: host.into(),
        name: host.to_owned(),
        namespace: object.meta.namespace.to_string(),
        addresses: single.into_iter().map(|one| one.addr()).collect(),
        ranges: ranges.into_iter().map(|range| range.trunc()).collect(),
        ports: ports.filter(|port| port.protocol != Protocol::Udp).collect(),
        external: spec.location == api::Location::MeshExternal,
        resolution: match spec.resolution {
            api::Resolution::None => Resolution::Passthrough,
            api::Resolution::Static => Resolution::Endpoints,
            api::Resolution::DnsRoundRobin => Resolution::OneOfDns,
            // What has no other is refused when it is read.
            api::Resolution::Dns | api::Resolution::DynamicDns => Resolution::Dns,
        },
        export_to: export_to.to_vec(),
        subject_alt_names: spec.subject_alt_names.clone(),
        nearness: Nearness::Any,
        keeps_callers: false,
        alias: false,
    }
}
