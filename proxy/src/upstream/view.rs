//! The endpoints of a cluster as one worker uses them: by priority, by locality, the healthy ones ready to be chosen.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;

use super::balance::Group;
use super::host::{Host, HostState};
use super::shared::Shared;
use super::{PickContext, health::Health};
use crate::model::{Cluster, Endpoint, EndpointHealth, EndpointSet, LbPolicy};

/// A priority with less than this share of healthy endpoints (1/1.4) lets others take some of its load; Envoy's
/// `overprovisioning_factor` of 140 %.
const OVERPROVISION: f64 = 1.4;

pub(super) struct View {
    lb: LbPolicy,
    locality_weighted: bool,
    panic_threshold: u8,
    watches_health: bool,
    places: Vec<Place>,
    /// Hosts of a cluster of the original destination, which has no endpoints of its own.
    by_address: HashMap<SocketAddr, Rc<Host>>,
    /// What `choices` was made from.
    made: Made,
    choices: Choices,
}

struct Place {
    priority: u32,
    weight: u32,
    hosts: Vec<Rc<Host>>,
}

/// For which state of health the choices hold.
#[derive(Clone, Copy, Default)]
struct Made {
    version: u64,
    /// Some endpoint comes back at this time.
    until: Option<u64>,
}

/// Groups to choose from, each with its share of the load.
#[derive(Default)]
struct Choices {
    groups: Vec<(f64, Group)>,
    total: f64,
}

impl View {
    /// Takes over what `previous` holds for addresses that are still there.
    pub(super) fn new(cluster: &Cluster, endpoints: &EndpointSet, shared: &Shared, previous: Option<&View>) -> Self {
        let watches_health = cluster.outlier.is_some();
        let mut held: HashMap<SocketAddr, &Rc<Host>> = HashMap::new();
        held.extend(previous.into_iter().flat_map(View::hosts).map(|host| (host.endpoint.address, host)));
        let host = |endpoint: &Arc<Endpoint>| {
            let same = held.get(&endpoint.address).filter(|host| same_connections(&host.endpoint, endpoint));
            let state = same.map(|host| host.state.clone());
            Rc::new(Host {
                endpoint: endpoint.clone(),
                state: state.unwrap_or_else(|| new_state(watches_health.then(|| shared.health_of(endpoint.address)))),
            })
        };
        let places = endpoints.localities.iter().map(|locality| Place {
            priority: locality.priority,
            weight: locality.weight,
            hosts: locality.endpoints.iter().map(host).collect(),
        });
        let mut view = Self {
            lb: cluster.lb.clone(),
            locality_weighted: cluster.locality_weighted,
            panic_threshold: cluster.panic_threshold,
            watches_health,
            places: places.collect(),
            by_address: HashMap::new(),
            made: Made::default(),
            choices: Choices::default(),
        };
        view.choose_anew(shared);
        view
    }

    pub(super) fn hosts(&self) -> impl Iterator<Item = &Rc<Host>> {
        self.places.iter().flat_map(|place| &place.hosts).chain(self.by_address.values())
    }

    /// The host of an address, made if it is new.
    pub(super) fn host_of(&mut self, address: SocketAddr, shared: &Shared) -> Rc<Host> {
        let watches_health = self.watches_health;
        let made = self.by_address.entry(address).or_insert_with(|| {
            let endpoint = Endpoint {
                address,
                hostname: None,
                health: EndpointHealth::Healthy,
                weight: 1,
                mtls: false,
                workload: None,
            };
            let health = watches_health.then(|| shared.health_of(address));
            Rc::new(Host { endpoint: Arc::new(endpoint), state: new_state(health) })
        });
        made.clone()
    }

    /// Lets go of original destinations that nobody uses.
    pub(super) fn tidy(&mut self) {
        self.hosts().for_each(|host| host.state.pool.tidy());
        self.by_address.retain(|_, host| host.state.active.get() > 0 || !host.state.pool.is_empty());
    }

    /// Chooses a host, preferring those that were not tried.
    pub(super) fn pick(&mut self, context: &PickContext<'_>, shared: &Shared) -> Option<Rc<Host>> {
        if self.watches_health && !self.made.holds(shared) {
            self.choose_anew(shared);
        }
        let group = self.choices.group()?;
        let host = group.pick(&self.lb, context.hash)?;
        if context.tried.is_empty() || !context.tried.contains(&host.endpoint.address) {
            return Some(host);
        }
        let untried = |host: &&Rc<Host>| !context.tried.contains(&host.endpoint.address);
        let others: Vec<_> = self.choices.groups.iter().flat_map(|(_, group)| group.hosts()).filter(untried).collect();
        Some(fastrand::choice(others).cloned().unwrap_or(host))
    }

    fn choose_anew(&mut self, shared: &Shared) {
        let now = if self.watches_health { shared.now() } else { 0 };
        self.made = Made { version: shared.health_version(), until: self.first_back(now) };
        self.choices = self.choices_at(now);
    }

    fn first_back(&self, now: u64) -> Option<u64> {
        self.hosts().filter_map(|host| host.state.health.as_ref()?.back_at(now)).min()
    }

    /// Envoy's rule: each priority can take 1.4 times its healthy share; what it cannot take falls to the next. If all
    /// together cannot take everything, what they can take is scaled up.
    fn choices_at(&self, now: u64) -> Choices {
        let mut priorities: Vec<u32> = self.places.iter().map(|place| place.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let mut left = 1.0_f64;
        let mut groups = Vec::new();
        for priority in priorities {
            let places = || self.places.iter().filter(move |place| place.priority == priority);
            let all: usize = places().map(|place| place.hosts.len()).sum();
            let healthy: usize = places().map(|place| place.usable(now).count()).sum();
            if all == 0 {
                continue;
            }
            let share = healthy as f64 / all as f64;
            let panics = share * 100.0 < f64::from(self.panic_threshold);
            let takes = if panics { left } else { left.min(share * OVERPROVISION) };
            if takes > 0.0 {
                self.add_groups(&mut groups, takes, places(), panics, now);
            }
            left -= takes;
            if left <= 0.0 {
                break;
            }
        }
        let total = groups.iter().map(|(share, _)| share).sum();
        Choices { groups, total }
    }

    fn add_groups<'a>(
        &self,
        groups: &mut Vec<(f64, Group)>,
        takes: f64,
        places: impl Iterator<Item = &'a Place>,
        panics: bool,
        now: u64,
    ) {
        let usable = |place: &Place| -> Vec<Rc<Host>> {
            if panics { place.hosts.clone() } else { place.usable(now).cloned().collect() }
        };
        if !self.locality_weighted {
            let hosts: Vec<_> = places.flat_map(usable).collect();
            groups.push((takes, Group::new(&self.lb, hosts)));
            return;
        }
        let weighted: Vec<(f64, Vec<Rc<Host>>)> = places
            .filter(|place| place.weight > 0)
            .map(|place| {
                let hosts = usable(place);
                let available = (hosts.len() as f64 / place.hosts.len().max(1) as f64 * OVERPROVISION).min(1.0);
                (f64::from(place.weight) * available, hosts)
            })
            .filter(|(_, hosts)| !hosts.is_empty())
            .collect();
        let sum: f64 = weighted.iter().map(|(weight, _)| weight).sum();
        groups.extend(weighted.into_iter().map(|(weight, hosts)| (takes * weight / sum, Group::new(&self.lb, hosts))));
    }
}

impl Place {
    fn usable(&self, now: u64) -> impl Iterator<Item = &Rc<Host>> {
        self.hosts.iter().filter(move |host| {
            host.endpoint.health == EndpointHealth::Healthy
                && !host.state.health.as_ref().is_some_and(|health| health.is_ejected(now))
        })
    }
}

impl Made {
    /// The clock is read only while somebody is ejected.
    fn holds(self, shared: &Shared) -> bool {
        self.version == shared.health_version() && self.until.is_none_or(|until| shared.now() < until)
    }
}

impl Choices {
    fn group(&mut self) -> Option<&mut Group> {
        if self.groups.len() <= 1 {
            return self.groups.first_mut().map(|(_, group)| group);
        }
        let mut left = fastrand::f64() * self.total;
        let last = self.groups.len() - 1;
        let chosen = self.groups.iter().position(|(share, _)| {
            left -= share;
            left < 0.0
        });
        self.groups.get_mut(chosen.unwrap_or(last)).map(|(_, group)| group)
    }
}

fn new_state(health: Option<Arc<Health>>) -> Rc<HostState> {
    Rc::new(HostState { health, ..HostState::default() })
}

/// Connections made to the one can serve the other.
fn same_connections(one: &Endpoint, other: &Endpoint) -> bool {
    one.mtls == other.mtls && one.hostname == other.hostname
}
