//! Who can be found where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Service;
use super::service::Services;

/// A port that a workload serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// The workload's own port.
    pub(crate) port: u16,
    /// The service, and its port.
    pub(crate) host: Arc<str>,
    pub(crate) service_port: u16,
}

/// Services by address and port, and what each workload serves. Each list is in the order of hosts.
#[derive(Clone, Default)]
pub(super) struct Index {
    by_address: ByAddress<Place>,
    by_port: Arc<HashMap<u16, Vec<Place>>>,
    by_instance: ByAddress<Served>,
}

/// Where a service stands among all: its host, and which of those who registered it.
type Place = (Arc<str>, usize);

impl Index {
    pub(super) fn of(services: &Services) -> Self {
        let mut index = Self::default();
        let mut by_port: HashMap<u16, Vec<Place>> = HashMap::new();
        for (at, service) in services.numbered() {
            for port in &service.ports {
                by_port.entry(port.number).or_default().push((service.host.clone(), at));
            }
            index.add(at, service);
        }
        Self { by_port: Arc::new(by_port), ..index }
    }

    /// The same where others serve some hosts than before.
    pub(super) fn next<'a>(&self, hosts: impl Iterator<Item = &'a Arc<str>>, old: &Services, new: &Services) -> Self {
        let mut index = self.clone();
        for host in hosts {
            old.registered(host).for_each(|service| index.remove(service));
            new.registered(host).enumerate().for_each(|(at, service)| index.add(at, service));
        }
        index
    }

    fn add(&mut self, at: usize, service: &Service) {
        for address in found_at(service) {
            self.by_address.insert(address, (service.host.clone(), at), |(host, at)| (host.clone(), *at));
        }
        for (address, served) in served(service) {
            self.by_instance.insert(address, served, |served| served.host.clone());
        }
    }

    fn remove(&mut self, service: &Service) {
        for address in found_at(service) {
            self.by_address.remove(address, |(host, _)| *host == service.host);
        }
        for (address, _) in served(service) {
            self.by_instance.remove(address, |served| served.host == service.host);
        }
    }

    pub(super) fn at<'a>(&'a self, services: &'a Services, address: IpAddr) -> impl Iterator<Item = &'a Service> {
        self.by_address.get(address).iter().filter_map(|(host, at)| services.registered(host).nth(*at))
    }

    pub(super) fn at_port<'a>(&'a self, services: &'a Services, port: u16) -> impl Iterator<Item = &'a Service> {
        let places = self.by_port.get(&port).into_iter().flatten();
        places.filter_map(|(host, at)| services.registered(host).nth(*at))
    }

    pub(super) fn served_by(&self, address: IpAddr) -> &[Served] {
        self.by_instance.get(address)
    }
}

/// The addresses at which a service is called.
fn found_at(service: &Service) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = service.ports.iter().flat_map(|port| service.called_at(port)).collect();
    addresses.extend(&service.addresses);
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// What workloads serve of a service.
fn served(service: &Service) -> impl Iterator<Item = (IpAddr, Served)> {
    let ports = service.ports.iter().filter(|_| !service.alias);
    ports.flat_map(|port| {
        port.instances.iter().filter_map(|instance| {
            let served = Served { port: instance.port, host: service.host.clone(), service_port: port.number };
            Some((instance.address.parse().ok()?, served))
        })
    })
}

/// Lists by address, in parts, so that a copy shares those that stay as they are.
#[derive(Clone)]
struct ByAddress<T>([Arc<HashMap<IpAddr, Vec<T>>>; PARTS]);

/// Enough that one part of a large mesh is small.
const PARTS: usize = 128;

impl<T> Default for ByAddress<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

impl<T: Clone> ByAddress<T> {
    fn get(&self, at: IpAddr) -> &[T] {
        self.0[part(at)].get(&at).map(Vec::as_slice).unwrap_or_default()
    }

    /// Puts a value behind those of the same place in the order.
    fn insert<O: Ord>(&mut self, at: IpAddr, value: T, order: impl Fn(&T) -> O) {
        let values = Arc::make_mut(&mut self.0[part(at)]).entry(at).or_default();
        let place = values.partition_point(|held| order(held) <= order(&value));
        values.insert(place, value);
    }

    fn remove(&mut self, at: IpAddr, goes: impl Fn(&T) -> bool) {
        let table = Arc::make_mut(&mut self.0[part(at)]);
        let Some(values) = table.get_mut(&at) else { return };
        values.retain(|held| !goes(held));
        if values.is_empty() {
            table.remove(&at);
        }
    }
}

fn part(at: IpAddr) -> usize {
    let last = match at {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    };
    usize::from(last) % PARTS
}
