//! Who can be found where.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Service;
use super::service::Services;

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
    by_address: HashMap<IpAddr, Vec<Place>>,
    by_port: HashMap<u16, Vec<Place>>,
    by_instance: HashMap<String, Vec<Served>>,
}

/// Where a service stands among all: its host, and which of those who registered it.
type Place = (String, usize);

impl Index {
    pub(super) fn of(services: &Services) -> Self {
        let mut index = Self::default();
        for (at, service) in services.numbered() {
            let place = || (service.host.clone(), at);
            let mut addresses: Vec<IpAddr> = service.ports.iter().flat_map(|port| service.called_at(port)).collect();
            addresses.extend(&service.addresses);
            addresses.sort_unstable();
            addresses.dedup();
            for address in addresses {
                index.by_address.entry(address).or_default().push(place());
            }
            for port in &service.ports {
                index.by_port.entry(port.number).or_default().push(place());
                if service.alias {
                    continue;
                }
                for instance in &port.instances {
                    let served = Served { port: instance.port, host: service.host.clone(), service_port: port.number };
                    index.by_instance.entry(instance.address.clone()).or_default().push(served);
                }
            }
        }
        index
    }

    pub(super) fn at<'a>(&'a self, services: &'a Services, address: IpAddr) -> impl Iterator<Item = &'a Service> {
        let places = self.by_address.get(&address).into_iter().flatten();
        places.filter_map(|(host, at)| services.registered(host).nth(*at))
    }

    pub(super) fn at_port<'a>(&'a self, services: &'a Services, port: u16) -> impl Iterator<Item = &'a Service> {
        let places = self.by_port.get(&port).into_iter().flatten();
        places.filter_map(|(host, at)| services.registered(host).nth(*at))
    }

    pub(super) fn served_by(&self, address: &str) -> &[Served] {
        self.by_instance.get(address).map(Vec::as_slice).unwrap_or_default()
    }
}
