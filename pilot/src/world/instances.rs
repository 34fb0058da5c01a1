//! Who serves a port.

use std::collections::HashMap;

use galley::api::{self, IntOrString};
use galley::{Key, Objects};
use mesh_types::Labels;

use crate::proxy::selects;

/// One that serves a port.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Instance {
    /// Address or, for names, a host.
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) labels: Labels,
    pub(crate) namespace: String,
    pub(crate) workload: String,
    pub(crate) service_account: String,
    pub(crate) weight: u32,
    pub(crate) ready: bool,
    /// `region/zone/subzone`.
    pub(crate) locality: String,
}

impl Instance {
    /// It has a proxy that takes mutual TLS.
    pub(crate) fn takes_mtls(&self) -> bool {
        self.labels.get("security.istio.io/tlsMode").is_some_and(|mode| mode == "istio")
    }
}

/// The objects that tell of instances, by what they are looked up by.
pub(super) struct Registry<'a> {
    objects: &'a Objects,
    slices: HashMap<(&'a str, &'a str), Vec<&'a galley::Object<api::EndpointSlice>>>,
    pods: HashMap<&'a str, Vec<(&'a Key, &'a galley::Object<api::Pod>)>>,
    pod_at: HashMap<&'a str, (&'a Key, &'a galley::Object<api::Pod>)>,
}

impl<'a> Registry<'a> {
    pub(super) fn new(objects: &'a Objects) -> Self {
        let mut this = Self { objects, slices: HashMap::new(), pods: HashMap::new(), pod_at: HashMap::new() };
        for slice in objects.endpoint_slices.values() {
            if let Some(name) = slice.meta.labels.get("kubernetes.io/service-name") {
                this.slices.entry((&slice.meta.namespace, name)).or_default().push(slice);
            }
        }
        for (key, pod) in objects.pods.iter() {
            this.pods.entry(&key.namespace).or_default().push((key, pod));
            if !pod.spec.status.pod_ip.is_empty() {
                this.pod_at.insert(&pod.spec.status.pod_ip, (key, pod));
            }
        }
        this
    }

    fn selected(
        &self,
        namespace: &str,
        selector: &Labels,
    ) -> impl Iterator<Item = (&'a Key, &'a galley::Object<api::Pod>)> {
        let pods = self.pods.get(namespace).into_iter().flatten().copied();
        pods.filter(move |(_, pod)| selects(selector, &pod.meta.labels))
    }

    /// Of a Service: by its EndpointSlices, or by its selector among the pods where it has none.
    pub(super) fn of_service(&self, key: &Key, spec: &api::ServiceSpec, port: &api::ServicePort) -> Vec<Instance> {
        if let Some(slices) = self.slices.get(&(&*key.namespace, &*key.name)) {
            return slices.iter().flat_map(|slice| self.of_slice(slice, port)).collect();
        }
        if spec.selector.is_empty() {
            return Vec::new();
        }
        let instance = |(pod, object): (&Key, &galley::Object<api::Pod>)| {
            let number = target_port(&object.spec, port)?;
            of_pod(pod, object, number).filter(|instance| instance.ready || spec.publish_not_ready_addresses)
        };
        self.selected(&key.namespace, &spec.selector).filter_map(instance).collect()
    }

    fn of_slice(&self, slice: &galley::Object<api::EndpointSlice>, port: &api::ServicePort) -> Vec<Instance> {
        let number = slice
            .spec
            .ports
            .iter()
            .find(|one| one.name == port.name || slice.spec.ports.len() == 1)
            .and_then(|one| one.port);
        let Some(number) = number else { return Vec::new() };
        let mut found = Vec::new();
        for endpoint in &slice.spec.endpoints {
            let ready = endpoint.conditions.ready.unwrap_or(true);
            for address in &endpoint.addresses {
                let pod = self.pod_at.get(address.as_str());
                let mut instance = pod.and_then(|(key, pod)| of_pod(key, pod, number)).unwrap_or_else(|| Instance {
                    address: address.clone(),
                    port: number,
                    labels: Labels::new(),
                    namespace: slice.meta.namespace.to_string(),
                    workload: address.clone(),
                    service_account: "default".to_owned(),
                    weight: 1,
                    ready,
                    locality: String::new(),
                });
                (instance.port, instance.ready) = (number, ready);
                if ready {
                    found.push(instance);
                }
            }
        }
        found
    }

    /// Of a ServiceEntry: its own endpoints, or WorkloadEntries and pods by its selector; a name without either is itself.
    pub(super) fn of_entry(&self, key: &Key, spec: &api::ServiceEntry, port: &api::ServiceEntryPort) -> Vec<Instance> {
        let number = port.target_port.unwrap_or(port.number);
        let one = |entry: &api::WorkloadEntry, namespace: &str, name: &str| Instance {
            address: entry.address.clone(),
            port: entry.ports.get(&port.name).copied().unwrap_or(number),
            labels: entry.labels.clone(),
            namespace: namespace.to_owned(),
            workload: name.to_owned(),
            service_account: or_default(&entry.service_account),
            weight: entry.weight.unwrap_or(1).max(1),
            ready: true,
            locality: entry.locality.clone(),
        };
        if let Some(selector) = &spec.workload_selector {
            let entries = self.objects.workload_entries.iter().filter(|(entry, object)| {
                entry.namespace == key.namespace && selects(&selector.labels, &object.spec.labels)
            });
            let entries = entries.map(|(entry, object)| one(&object.spec, &entry.namespace, &entry.name));
            let pods = self.selected(&key.namespace, &selector.labels);
            let pods = pods.filter_map(|(pod, object)| of_pod(pod, object, number)).filter(|pod| pod.ready);
            return entries.chain(pods).collect();
        }
        if !spec.endpoints.is_empty() {
            return spec.endpoints.iter().map(|entry| one(entry, &key.namespace, &entry.address)).collect();
        }
        let names = spec.hosts.iter().filter(|host| !host.contains('*')).take(1);
        let itself = |host: &String| {
            one(&api::WorkloadEntry { address: host.clone(), ..Default::default() }, &key.namespace, host)
        };
        names.map(itself).collect()
    }
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

fn of_pod(key: &Key, pod: &galley::Object<api::Pod>, port: u16) -> Option<Instance> {
    let status = &pod.spec.status;
    let ready = status.conditions.iter().any(|one| one.condition_type == "Ready" && one.status == "True");
    let over = matches!(status.phase.as_str(), "Succeeded" | "Failed");
    if status.pod_ip.is_empty() || over {
        return None;
    }
    Some(Instance {
        address: status.pod_ip.clone(),
        port,
        labels: pod.meta.labels.clone(),
        namespace: key.namespace.to_string(),
        workload: key.name.to_string(),
        service_account: or_default(&pod.spec.spec.service_account_name),
        weight: 1,
        ready,
        locality: String::new(),
    })
}

fn or_default(service_account: &str) -> String {
    if service_account.is_empty() { "default".to_owned() } else { service_account.to_owned() }
}
