//! Who serves a port.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use galley::api::{self, IntOrString, MtlsMode};
use galley::{Key, Object, Objects, Table};
use mesh_types::Labels;

use super::mtls::Modes;
use super::place::{Place, locality};
use crate::proxy::selects;

const TLS_MODE: &str = "security.istio.io/tlsMode";

/// One that serves a port.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Instance {
    /// Address or, for names, a host.
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) labels: Labels,
    pub(crate) namespace: String,
    pub(crate) workload: String,
    /// Empty if nothing is known of its identity.
    pub(crate) service_account: String,
    pub(crate) weight: u32,
    /// It takes new work.
    pub(crate) ready: bool,
    /// It has a proxy that takes mutual TLS, and no policy forbids it.
    pub(crate) takes_mtls: bool,
    pub(crate) place: Place,
}

impl Instance {
    /// A name outside of which nothing else is known.
    pub(super) fn named(host: &str, port: u16) -> Self {
        Self {
            address: host.to_owned(),
            port,
            labels: Labels::new(),
            namespace: String::new(),
            workload: host.to_owned(),
            service_account: String::new(),
            weight: 1,
            ready: true,
            takes_mtls: false,
            place: Place::default(),
        }
    }
}

/// The objects that tell of instances, by what they are looked up by.
pub(super) struct Registry<'a> {
    objects: &'a Objects,
    modes: Modes<'a>,
    slices: HashMap<(&'a str, &'a str), Vec<&'a Object<api::EndpointSlice>>>,
    pods: HashMap<&'a str, Vec<Pod<'a>>>,
    /// Those with an address of their own, once somebody asks.
    pod_at: OnceCell<HashMap<&'a str, Pod<'a>>>,
    entries: HashMap<&'a str, Vec<Entry<'a>>>,
}

type Pod<'a> = (&'a Key, &'a Object<api::Pod>);

/// A workload by hand.
struct Entry<'a> {
    name: &'a str,
    spec: &'a api::WorkloadEntry,
    /// Those of the object over those in it (Istio's rule).
    labels: Labels,
}

impl<'a> Registry<'a> {
    /// Of everything.
    pub(super) fn new(objects: &'a Objects, root_namespace: &'a str) -> Self {
        let slices = objects.endpoint_slices.values();
        Self::of(objects, root_namespace, slices, objects.pods.iter(), objects.workload_entries.iter())
    }

    /// Of what concerns services of these namespaces.
    pub(super) fn within(objects: &'a Objects, root_namespace: &'a str, namespaces: &BTreeSet<&str>) -> Self {
        let slices = namespaces.iter().flat_map(|one| of_namespace(&objects.endpoint_slices, one));
        let pods = namespaces.iter().flat_map(|one| of_namespace(&objects.pods, one));
        let entries = namespaces.iter().flat_map(|one| of_namespace(&objects.workload_entries, one));
        Self::of(objects, root_namespace, slices.map(|(_, slice)| slice), pods, entries)
    }

    fn of(
        objects: &'a Objects,
        root_namespace: &'a str,
        slices: impl Iterator<Item = &'a Object<api::EndpointSlice>>,
        pods: impl Iterator<Item = Pod<'a>>,
        entries: impl Iterator<Item = (&'a Key, &'a Object<api::WorkloadEntry>)>,
    ) -> Self {
        let mut this = Self {
            objects,
            modes: Modes::of(objects, root_namespace),
            slices: HashMap::new(),
            pods: HashMap::new(),
            pod_at: OnceCell::new(),
            entries: HashMap::new(),
        };
        for slice in slices {
            if let Some(name) = slice.meta.labels.get("kubernetes.io/service-name") {
                this.slices.entry((&slice.meta.namespace, name)).or_default().push(slice);
            }
        }
        for pod in pods {
            this.pods.entry(&pod.0.namespace).or_default().push(pod);
        }
        for (key, object) in entries {
            let mut labels = object.spec.labels.clone();
            labels.extend(object.meta.labels.clone());
            let entry = Entry { name: &key.name, spec: &object.spec, labels };
            this.entries.entry(&key.namespace).or_default().push(entry);
        }
        this
    }

    /// The pod with an address of its own.
    fn pod_at(&self, address: &str) -> Option<Pod<'a>> {
        let all = || {
            let own = self.objects.pods.iter().filter(|(_, pod)| !pod.spec.spec.host_network);
            own.flat_map(|pod| addresses(pod.1).map(move |address| (address, pod))).collect()
        };
        self.pod_at.get_or_init(all).get(address).copied()
    }

    /// Of a Service: by its EndpointSlices, or by its selector among the pods where it has none; and those
    /// WorkloadEntries that it selects.
    pub(super) fn of_service(&self, key: &Key, spec: &api::ServiceSpec, port: &api::ServicePort) -> Vec<Instance> {
        let mut found = match self.slices.get(&(&*key.namespace, &*key.name)) {
            Some(slices) => self.of_slices(slices, spec, port),
            None if spec.selector.is_empty() => Vec::new(),
            None => {
                let pods = self.pods_of(&key.namespace, &spec.selector);
                pods.filter_map(|pod| self.of_pod(pod, target_port(&pod.1.spec, port)?)).collect()
            }
        };
        if !spec.selector.is_empty() {
            let number = match port.target_port {
                Some(IntOrString::Int(number)) if number != 0 => number,
                _ => port.port,
            };
            found.extend(self.of_entries(&key.namespace, &spec.selector, &port.name, number));
        }
        if spec.publish_not_ready_addresses {
            found.iter_mut().for_each(|instance| instance.ready = true);
        }
        found
    }

    /// A pod counts once, however many addresses it has: by that of the service's family.
    fn of_slices(
        &self,
        slices: &[&Object<api::EndpointSlice>],
        spec: &api::ServiceSpec,
        port: &api::ServicePort,
    ) -> Vec<Instance> {
        let preferred = if spec.cluster_ip.contains(':') { api::AddressType::Ipv6 } else { api::AddressType::Ipv4 };
        let mut slices: Vec<_> =
            slices.iter().filter(|slice| slice.spec.address_type != api::AddressType::Fqdn).collect();
        slices.sort_by_key(|slice| slice.spec.address_type != preferred);
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for slice in slices {
            let Some(number) = slice.spec.ports.iter().find(|one| one.name == port.name).and_then(|one| one.port)
            else {
                continue;
            };
            for endpoint in &slice.spec.endpoints {
                let Some(instance) = self.of_endpoint(slice, endpoint, number) else { continue };
                if seen.insert((instance.namespace.clone(), instance.workload.clone(), number)) {
                    found.push(instance);
                }
            }
        }
        found
    }

    /// The endpoint's pod is the one that it names. One whose pod is not known yet is left out: who it is decides about
    /// mutual TLS.
    fn of_endpoint(
        &self,
        slice: &Object<api::EndpointSlice>,
        endpoint: &api::Endpoint,
        number: u16,
    ) -> Option<Instance> {
        let address = endpoint.addresses.first()?;
        let named = endpoint.target_ref.as_ref().filter(|target| target.kind == "Pod");
        let pod = match named {
            Some(target) => {
                let namespace =
                    if target.namespace.is_empty() { &*slice.meta.namespace } else { target.namespace.as_str() };
                let key = Key { namespace: namespace.into(), name: target.name.as_str().into() };
                Some(self.objects.pods.get_key_value(&key)?)
            }
            None => self.pod_at(address),
        };
        let mut instance = match pod {
            Some(pod) => self.of_pod(pod, number)?,
            None => Instance {
                namespace: slice.meta.namespace.to_string(),
                place: Place::on(self.objects, &endpoint.node_name),
                ..Instance::named(address, number)
            },
        };
        if instance.place.locality.zone.is_empty() {
            instance.place.locality.zone.clone_from(&endpoint.zone);
        }
        instance.address.clone_from(address);
        instance.ready = endpoint.conditions.ready.unwrap_or(true);
        Some(instance)
    }

    /// Of a host of a ServiceEntry: its own endpoints, or WorkloadEntries and pods by its selector; a name that is to be
    /// resolved and has neither is itself. Addresses must be known unless they are resolved.
    pub(super) fn of_entry(
        &self,
        namespace: &str,
        spec: &api::ServiceEntry,
        host: &str,
        port: &api::ServiceEntryPort,
    ) -> Vec<Instance> {
        let resolved = matches!(spec.resolution, api::Resolution::Dns | api::Resolution::DnsRoundRobin);
        let number = port.target_port.unwrap_or(port.number);
        let mut found: Vec<Instance> = if spec.resolution == api::Resolution::None {
            Vec::new()
        } else if let Some(selector) = &spec.workload_selector {
            let pods = self.pods_of(namespace, &selector.labels).filter_map(|pod| self.of_pod(pod, number));
            self.of_entries(namespace, &selector.labels, &port.name, number).chain(pods).collect()
        } else if spec.endpoints.is_empty() && resolved && !host.contains('*') {
            vec![Instance { namespace: namespace.to_owned(), ..Instance::named(host, number) }]
        } else {
            let own = |spec: &api::WorkloadEntry| {
                let entry = Entry { name: &spec.address, spec, labels: spec.labels.clone() };
                self.of_workload(namespace, &entry, &port.name, number)
            };
            spec.endpoints.iter().map(own).collect()
        };
        found.retain(|instance| resolved || instance.address.parse::<IpAddr>().is_ok());
        found
    }

    fn pods_of(&self, namespace: &str, selector: &Labels) -> impl Iterator<Item = Pod<'a>> {
        let pods = self.pods.get(namespace).into_iter().flatten().copied();
        pods.filter(move |(_, pod)| selects(selector, &pod.meta.labels))
    }

    fn of_entries(
        &self,
        namespace: &str,
        selector: &Labels,
        port: &str,
        number: u16,
    ) -> impl Iterator<Item = Instance> {
        let entries = self.entries.get(namespace).into_iter().flatten();
        let selected = entries.filter(move |entry| selects(selector, &entry.labels));
        selected.map(move |entry| self.of_workload(namespace, entry, port, number))
    }

    /// One without a word about its proxy has one if it has an identity (Istio's rule).
    fn of_workload(&self, namespace: &str, entry: &Entry<'_>, port: &str, number: u16) -> Instance {
        let port = entry.spec.ports.get(port).copied().unwrap_or(number);
        let has_proxy = match entry.labels.get(TLS_MODE) {
            Some(mode) => mode == "istio",
            None => !entry.spec.service_account.is_empty(),
        };
        Instance {
            address: entry.spec.address.clone(),
            port,
            namespace: namespace.to_owned(),
            workload: entry.name.to_owned(),
            service_account: entry.spec.service_account.clone(),
            weight: entry.spec.weight.unwrap_or(1).max(1),
            ready: true,
            takes_mtls: has_proxy && self.is_let_have_mtls(namespace, &entry.labels, port),
            place: of_entry(entry.spec),
            labels: entry.labels.clone(),
        }
    }

    fn of_pod(&self, (key, pod): Pod<'_>, port: u16) -> Option<Instance> {
        let status = &pod.spec.status;
        let over = matches!(status.phase.as_str(), "Succeeded" | "Failed");
        if status.pod_ip.is_empty() || over {
            return None;
        }
        let labels = &pod.meta.labels;
        let has_proxy = labels.get(TLS_MODE).is_some_and(|mode| mode == "istio");
        let account = &pod.spec.spec.service_account_name;
        Some(Instance {
            address: status.pod_ip.clone(),
            port,
            labels: labels.clone(),
            namespace: key.namespace.to_string(),
            workload: key.name.to_string(),
            service_account: if account.is_empty() { "default".to_owned() } else { account.clone() },
            weight: 1,
            // One that ends still serves, but is to get nothing new.
            ready: !pod.meta.ending
                && status.conditions.iter().any(|one| one.condition_type == "Ready" && one.status == "True"),
            takes_mtls: has_proxy && self.is_let_have_mtls(&key.namespace, labels, port),
            place: self.place_of(pod),
        })
    }

    fn is_let_have_mtls(&self, namespace: &str, labels: &Labels, port: u16) -> bool {
        self.modes.mode(namespace, labels, port) != MtlsMode::Disable
    }

    fn place_of(&self, pod: &Object<api::Pod>) -> Place {
        of_pod(self.objects, pod)
    }
}

/// Where workloads are, by address.
pub(super) fn places(objects: &Objects) -> HashMap<IpAddr, Place> {
    let pods = objects.pods.values().flat_map(|pod| {
        let place = of_pod(objects, pod);
        addresses(pod).map(move |address| (address, place.clone()))
    });
    let entries = objects.workload_entries.values().map(|one| (one.spec.address.as_str(), of_entry(&one.spec)));
    pods.chain(entries).filter_map(|(address, place)| Some((address.parse().ok()?, place))).collect()
}

fn of_pod(objects: &Objects, pod: &Object<api::Pod>) -> Place {
    Place::on(objects, &pod.spec.spec.node_name).unless(&pod.meta.labels)
}

/// What of a table is of a namespace.
fn of_namespace<'a, T>(table: &'a Table<T>, namespace: &str) -> impl Iterator<Item = (&'a Key, &'a Object<T>)> {
    let first = Key { namespace: namespace.into(), name: "".into() };
    let here = first.namespace.clone();
    table.range(first..).take_while(move |(key, _)| key.namespace == here)
}

fn of_entry(spec: &api::WorkloadEntry) -> Place {
    Place { locality: locality(&spec.locality), node: String::new() }
}

fn addresses(pod: &Object<api::Pod>) -> impl Iterator<Item = &str> {
    let status = &pod.spec.status;
    let all = std::iter::once(status.pod_ip.as_str()).chain(status.pod_ips.iter().map(|one| one.ip.as_str()));
    all.filter(|address| !address.is_empty())
}

fn target_port(pod: &api::Pod, port: &api::ServicePort) -> Option<u16> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let mut ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
            ports.find(|one| one.name == *name).map(|one| one.container_port)
        }
    }
}
