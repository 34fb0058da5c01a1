//! Who can be found where.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::Service;

/// A port that a workload serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Served {
    /// The workload's own port.
    pub(crate) port: u16,
    /// The service, and its port.
    pub(crate) host: String,
    pub(crate) service_port: u16,
}

/// Services by address and port, and what each workload serves.
#[derive(Default)]
pub(super) struct Index {
    by_address: HashMap<IpAddr, Vec<String>>,
    by_port: HashMap<u16, Vec<String>>,
    by_instance: HashMap<String, Vec<Served>>,
}

impl Index {
    pub(super) fn of(services: &BTreeMap<String, Service>) -> Self {
        let mut index = Self::default();
        for service in services.values() {
            let instances = || service.ports.iter().flat_map(|port| &port.instances);
            let mut addresses = service.addresses.clone();
            if addresses.is_empty() {
                addresses.extend(instances().filter_map(|instance| instance.address.parse::<IpAddr>().ok()));
                addresses.sort_unstable();
                addresses.dedup();
            }
            for address in addresses {
                index.by_address.entry(address).or_default().push(service.host.clone());
            }
            for port in &service.ports {
                index.by_port.entry(port.number).or_default().push(service.host.clone());
                for instance in &port.instances {
                    let served = Served { port: instance.port, host: service.host.clone(), service_port: port.number };
                    index.by_instance.entry(instance.address.clone()).or_default().push(served);
                }
            }
        }
        index
    }

    pub(super) fn at(&self, address: IpAddr) -> impl Iterator<Item = &String> {
        self.by_address.get(&address).into_iter().flatten()
    }

    pub(super) fn at_port(&self, port: u16) -> impl Iterator<Item = &String> {
        self.by_port.get(&port).into_iter().flatten()
    }

    pub(super) fn served_by(&self, address: &str) -> &[Served] {
        self.by_instance.get(address).map(Vec::as_slice).unwrap_or_default()
    }
}
