//! Who serves a port.

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

/// Of a Service: by its EndpointSlices, or by its selector among the pods where it has none.
pub(super) fn of_service(
    objects: &Objects,
    key: &Key,
    spec: &api::ServiceSpec,
    port: &api::ServicePort,
) -> Vec<Instance> {
    let of_service = |slice: &&galley::Object<api::EndpointSlice>| {
        slice.meta.namespace == key.namespace
            && slice.meta.labels.get("kubernetes.io/service-name").is_some_and(|name| **name == *key.name)
    };
    let slices: Vec<_> = objects.endpoint_slices.values().filter(of_service).collect();
    if !slices.is_empty() {
        return slices.into_iter().flat_map(|slice| of_slice(objects, slice, port)).collect();
    }
    if spec.selector.is_empty() {
        return Vec::new();
    }
    let pods = objects
        .pods
        .iter()
        .filter(|(pod, object)| pod.namespace == key.namespace && selects(&spec.selector, &object.meta.labels));
    pods.filter_map(|(pod, object)| {
        let number = target_port(&object.spec, port)?;
        of_pod(pod, object, number).filter(|instance| instance.ready || spec.publish_not_ready_addresses)
    })
    .collect()
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

fn of_slice(objects: &Objects, slice: &galley::Object<api::EndpointSlice>, port: &api::ServicePort) -> Vec<Instance> {
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
            let pod = objects.pods.iter().find(|(_, pod)| pod.spec.status.pod_ip == *address);
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
pub(super) fn of_entry(
    objects: &Objects,
    key: &Key,
    spec: &api::ServiceEntry,
    port: &api::ServiceEntryPort,
) -> Vec<Instance> {
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
        let entries = objects.workload_entries.iter().filter(|(entry, object)| {
            entry.namespace == key.namespace && selects(&selector.labels, &object.spec.labels)
        });
        let entries = entries.map(|(entry, object)| one(&object.spec, &entry.namespace, &entry.name));
        let pods = objects
            .pods
            .iter()
            .filter(|(pod, object)| pod.namespace == key.namespace && selects(&selector.labels, &object.meta.labels));
        let pods = pods.filter_map(|(pod, object)| of_pod(pod, object, number)).filter(|pod| pod.ready);
        return entries.chain(pods).collect();
    }
    if !spec.endpoints.is_empty() {
        return spec.endpoints.iter().map(|entry| one(entry, &key.namespace, &entry.address)).collect();
    }
    let names = spec.hosts.iter().filter(|host| !host.contains('*')).take(1);
    let itself =
        |host: &String| one(&api::WorkloadEntry { address: host.clone(), ..Default::default() }, &key.namespace, host);
    names.map(itself).collect()
}

fn or_default(service_account: &str) -> String {
    if service_account.is_empty() { "default".to_owned() } else { service_account.to_owned() }
}
