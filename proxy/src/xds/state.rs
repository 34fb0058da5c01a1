//! What the control plane has sent, decoded, with the names that follow from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node as WireNode;
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use hashbrown::HashMap;
use mesh_types::Name;
use prost::Message;

use super::asked::{Asked, listener_addresses};
use super::config::Refusal;
use super::decode;
use super::demand::DemandKey;
use crate::model::{
    Absent, Cluster, Discovery, EndpointSet, Listener, Resource, Resources, RouteConfig, RouteSource, SecretName,
    Snapshot, Terminal, TlsSecrets, Type, VirtualHost,
};

/// More first uses than this make room by forgetting those of what does not exist.
const MOST_ASKED: usize = 8192;
/// What nobody has used for so many minutes is let go.
const KEPT_UNUSED: u32 = 60;

/// Everything that the control plane wants us to have is asked for of these types; of the others by name.
fn is_wildcard(kind: Type) -> bool {
    matches!(kind, Type::Cluster | Type::Listener)
}

/// Everything sent so far.
#[derive(Default)]
pub(crate) struct State {
    listeners: HashMap<Name, Arc<Listener>>,
    clusters: HashMap<Name, Arc<Cluster>>,
    routes: HashMap<Name, Arc<RouteConfig>>,
    endpoints: HashMap<Name, Arc<EndpointSet>>,
    secrets: HashMap<Name, Arc<TlsSecrets>>,
    /// By `<route configuration>/<authority>`, with the domains of each.
    hosts: HashMap<Name, (Vec<String>, Arc<VirtualHost>)>,
    /// The control plane sends what it is asked for; else it has sent all that there is.
    on_demand: bool,
    /// What first uses have asked for.
    asked: Asked,
    /// What all that was read from. The versions are told when a stream is opened anew.
    resources: Resources,
    /// Asked for by name, on this stream.
    subscribed: BTreeMap<Type, BTreeSet<String>>,
    /// Asked for by name and known not to exist.
    absent: BTreeMap<Type, BTreeSet<String>>,
    /// Types that have been answered at all.
    answered: BTreeSet<Type>,
    refused: BTreeMap<(Type, String), Refusal>,
    changed: bool,
}

impl State {
    /// The request that opens a type on a new stream; nothing for a type of which no name is known yet.
    pub(super) fn first_request(&mut self, kind: Type, node: Option<WireNode>) -> Option<ads::DeltaDiscoveryRequest> {
        self.absent.remove(&kind);
        let names = self.wanted(kind);
        if names.is_empty() && !is_wildcard(kind) {
            self.subscribed.remove(&kind);
            return None;
        }
        self.subscribed.insert(kind, names.clone());
        // A first request without names is for everything; with names, that has to be said.
        let everything = (is_wildcard(kind) && !names.is_empty()).then(|| "*".to_owned());
        Some(ads::DeltaDiscoveryRequest {
            node,
            type_url: kind.url().to_owned(),
            resource_names_subscribe: everything.into_iter().chain(names).collect(),
            initial_resource_versions: self
                .resources
                .of(kind)
                .map(|(name, one)| (name.to_string(), one.version.to_string()))
                .collect(),
            ..Default::default()
        })
    }

    /// What is to be asked for, or not any more, since the last call.
    pub(super) fn subscription_changes(&mut self) -> Vec<ads::DeltaDiscoveryRequest> {
        let mut changes = Vec::new();
        for kind in Type::ALL {
            let wanted = self.wanted(kind);
            let held = self.subscribed.entry(kind).or_default();
            let more: Vec<String> = wanted.difference(held).cloned().collect();
            let less: Vec<String> = held.difference(&wanted).cloned().collect();
            if more.is_empty() && less.is_empty() {
                continue;
            }
            *held = wanted;
            // What is asked for anew is waited for anew.
            let absent = self.absent.entry(kind).or_default();
            absent.retain(|name| !more.contains(name) && !less.contains(name));
            for name in &less {
                self.forget(kind, name);
            }
            changes.push(ads::DeltaDiscoveryRequest {
                type_url: kind.url().to_owned(),
                resource_names_subscribe: more,
                resource_names_unsubscribe: less,
                ..Default::default()
            });
        }
        changes
    }

    /// The names that listeners, routes and clusters mention.
    fn wanted(&self, kind: Type) -> BTreeSet<String> {
        match kind {
            Type::Listener => self.asked.listeners.keys().cloned().collect(),
            Type::VirtualHost => self.asked.hosts.keys().cloned().collect(),
            Type::Cluster if !self.on_demand => BTreeSet::new(),
            Type::Cluster => self.clusters_led_to(),
            Type::Endpoints => {
                let names = self.clusters.values().filter_map(|cluster| match &cluster.discovery {
                    Discovery::Eds(name) => Some(name.to_string()),
                    _ => None,
                });
                names.collect()
            }
            Type::Route => {
                let chains =
                    self.listeners.values().flat_map(|listener| listener.chains.iter().chain(&listener.default_chain));
                let names = chains.filter_map(|chain| match &chain.terminal {
                    Terminal::Http(http) => match &http.routes {
                        RouteSource::Rds(name) => Some(name.to_string()),
                        RouteSource::Inline(_) => None,
                    },
                    Terminal::Tcp(_) => None,
                });
                names.collect()
            }
            Type::Secret => {
                let down =
                    self.listeners.values().flat_map(|listener| listener.chains.iter().chain(&listener.default_chain));
                let down = down.filter_map(|chain| chain.tls.as_ref());
                let down = down.flat_map(|tls| tls.certificates.iter().chain(&tls.client_roots));
                let up = self.clusters.values().flat_map(|cluster| &cluster.tls);
                let up = up.flat_map(|(_, tls)| tls.certificate.iter().chain(&tls.roots));
                let named = down.chain(up).filter_map(|name| match name {
                    SecretName::Named(name) => Some(name.to_string()),
                    _ => None,
                });
                named.collect()
            }
        }
    }

    /// The clusters that listeners, routes and virtual hosts lead to, those aside that are sent unasked.
    fn clusters_led_to(&self) -> BTreeSet<String> {
        let chains = self.listeners.values().flat_map(|listener| listener.chains.iter().chain(&listener.default_chain));
        let carried = chains.flat_map(|chain| match &chain.terminal {
            Terminal::Tcp(proxy) => proxy.clusters.as_slice(),
            Terminal::Http(_) => &[],
        });
        let hosts = self.routes.values().flat_map(|config| &config.virtual_hosts);
        let hosts = hosts.chain(self.hosts.values().map(|(_, host)| host));
        let routed = hosts.flat_map(|host| &host.routes).flat_map(|route| route.clusters());
        let names = carried.map(|one| &one.name).chain(routed).filter(|name| name.starts_with("outbound|"));
        names.map(|name| name.to_string()).chain(self.asked.clusters.iter().cloned()).collect()
    }

    /// Asks for what a first use needs.
    pub(super) fn demand(&mut self, key: &DemandKey, minute: u32) {
        let most = self.asked.listeners.len() + self.asked.hosts.len() >= MOST_ASKED;
        if most {
            // Somebody asks for what does not exist, again and again.
            self.asked.retain(|kind, name, _| !self.absent.get(&kind).is_some_and(|absent| absent.contains(name)));
        }
        self.asked.add(key, minute);
    }

    /// Asks for what was used before a restart.
    pub(super) fn remember(&mut self, asked: Asked) {
        self.asked = asked;
    }

    /// What first uses have asked for.
    pub(super) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Lets go what nobody has used for long.
    pub(super) fn let_go(&mut self, minute: u32) {
        let unused_since = |last: u32| minute.saturating_sub(last) >= KEPT_UNUSED;
        let (listeners, hosts) = (&self.listeners, &self.hosts);
        self.asked.retain(|kind, name, asked_at| {
            let used = match kind {
                Type::Listener => listeners.get(name).map(|listener| listener.last_use.minute()),
                _ => hosts.get(name).map(|(_, host)| host.last_use.minute()),
            };
            !unused_since(used.unwrap_or_default().max(asked_at))
        });
    }

    /// Takes a response; what it holds that cannot be honoured is returned.
    pub(crate) fn take(&mut self, kind: Type, response: ads::DeltaDiscoveryResponse) -> Vec<Refusal> {
        self.answered.insert(kind);
        self.changed = true;
        if let Some(control_plane) = &response.control_plane {
            self.on_demand = control_plane.identifier == mesh_types::ON_DEMAND_CONTROL_PLANE;
        }
        for name in response.removed_resources {
            self.forget(kind, &name);
            // Of what was not asked for by name, nobody wants to know that it is gone.
            if self.subscribed.get(&kind).is_some_and(|names| names.contains(&name)) {
                self.absent.entry(kind).or_default().insert(name);
            }
        }
        let mut refusals = Vec::new();
        for resource in response.resources {
            let name = resource.name.clone();
            self.absent.entry(kind).or_default().remove(&name);
            match self.decode(kind, &resource) {
                Ok(()) => {
                    self.refused.remove(&(kind, name.clone()));
                    self.resources.insert(kind, name.as_str().into(), in_force(kind, resource));
                }
                Err(reason) => {
                    let older_in_force = self.resources.contains(kind, &name);
                    let refusal = Refusal {
                        kind: kind.word(),
                        name: name.as_str().into(),
                        version: resource.version.as_str().into(),
                        reason: reason.as_str().into(),
                        older_in_force,
                    };
                    self.refused.insert((kind, name), refusal.clone());
                    refusals.push(refusal);
                }
            }
        }
        refusals
    }

    fn decode(&mut self, kind: Type, resource: &ads::Resource) -> Result<(), String> {
        let any = resource.resource.as_ref().ok_or("is empty")?;
        if any.type_url != kind.url() {
            return Err(format!("is a {}", any.type_url));
        }
        let bytes = any.value.as_slice();
        let name: Name = resource.name.as_str().into();
        match kind {
            Type::Cluster => {
                let cluster = decode::cluster(parse(bytes)?).map_err(|error| error.to_string())?;
                self.clusters.insert(name, Arc::new(cluster));
            }
            Type::Endpoints => {
                let endpoints = decode::endpoints(parse(bytes)?).map_err(|error| error.to_string())?;
                self.endpoints.insert(name, Arc::new(endpoints));
            }
            Type::Listener => {
                let mut listener = decode::listener(parse(bytes)?).map_err(|error| error.to_string())?;
                if let Some(older) = self.listeners.get(&name) {
                    listener.last_use = older.last_use.clone();
                }
                self.listeners.insert(name, Arc::new(listener));
            }
            Type::Route => {
                let route = decode::route_config(parse(bytes)?).map_err(|error| error.to_string())?;
                self.routes.insert(name, Arc::new(route));
            }
            Type::VirtualHost => {
                let (domains, mut host) = decode::virtual_host(parse(bytes)?).map_err(|error| error.to_string())?;
                if let Some((_, older)) = self.hosts.get(&name) {
                    host.last_use = older.last_use.clone();
                }
                self.hosts.insert(name, (domains, Arc::new(host)));
            }
            Type::Secret => {
                let secret = decode::secret(parse(bytes)?).map_err(|error| error.to_string())?;
                self.secrets.insert(name, Arc::new(secret));
            }
        }
        Ok(())
    }

    fn forget(&mut self, kind: Type, name: &str) {
        match kind {
            Type::Cluster => drop(self.clusters.remove(name)),
            Type::Endpoints => drop(self.endpoints.remove(name)),
            Type::Listener => drop(self.listeners.remove(name)),
            Type::Route => drop(self.routes.remove(name)),
            Type::VirtualHost => drop(self.hosts.remove(name)),
            Type::Secret => drop(self.secrets.remove(name)),
        }
        self.resources.remove(kind, name);
        self.refused.remove(&(kind, name.to_owned()));
    }

    /// True if everything that is mentioned is there, or known not to exist: nothing half is published.
    pub(super) fn is_complete(&self) -> bool {
        let wildcards = [Type::Cluster, Type::Listener].iter().all(|kind| self.answered.contains(kind));
        let settled = |kind: Type| {
            self.wanted(kind).iter().all(|name| {
                self.resources.contains(kind, name)
                    || self.absent.get(&kind).is_some_and(|absent| absent.contains(name))
                    || self.refused.contains_key(&(kind, name.clone()))
            })
        };
        wildcards && Type::ALL.into_iter().all(settled)
    }

    /// True once after something changed.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Writes everything into a snapshot; the identity's own secrets stay.
    pub(crate) fn write(&self, snapshot: &mut Snapshot) {
        snapshot.everything = !self.on_demand;
        snapshot.absent = Arc::new(self.absent());
        snapshot.resources = self.resources.clone();
        snapshot.listeners = self.listeners.clone();
        snapshot.clusters = self.clusters.clone();
        snapshot.routes = self.routes.clone();
        for (name, (domains, host)) in &self.hosts {
            let Some((route, authority)) = name.split_once('/') else { continue };
            if let Some(config) = snapshot.routes.get_mut(route).filter(|config| config.on_demand) {
                Arc::make_mut(config).add_host(host.clone(), domains, authority);
            }
        }
        snapshot.endpoints = self.endpoints.clone();
        snapshot.secrets.retain(|name, _| matches!(name, SecretName::Workload | SecretName::MeshRoots));
        let named = self.secrets.iter().map(|(name, secret)| (SecretName::Named(name.clone()), secret.clone()));
        snapshot.secrets.extend(named);
        snapshot.index_listeners();
    }

    /// What was asked for and does not exist.
    fn absent(&self) -> Absent {
        let of = |kind: Type| self.absent.get(&kind).into_iter().flatten();
        let mut absent = Absent {
            listeners: of(Type::Listener).flat_map(|name| listener_addresses(name)).collect(),
            clusters: of(Type::Cluster).map(|name| name.as_str().into()).collect(),
            ..Absent::default()
        };
        for (route, authority) in of(Type::VirtualHost).filter_map(|name| name.split_once('/')) {
            absent.hosts.entry(route.into()).or_default().insert(authority.into());
        }
        absent
    }

    /// What is refused now.
    pub(super) fn refusals(&self) -> Arc<[Refusal]> {
        self.refused.values().cloned().collect()
    }
}

fn in_force(kind: Type, resource: ads::Resource) -> Resource {
    let body = resource.resource.filter(|_| kind != Type::Secret).map(|any| any.value.into());
    Resource { version: resource.version.into(), body: body.unwrap_or_default() }
}

fn parse<M: Message + Default>(bytes: &[u8]) -> Result<M, String> {
    M::decode(bytes).map_err(|error| format!("does not parse: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::cluster::v3 as cds;
    use envoy_types::pb::google::protobuf::Any;
    use proptest::prelude::*;

    fn resource(kind: Type, name: &str, value: Vec<u8>) -> ads::Resource {
        let resource = Some(Any { type_url: kind.url().to_owned(), value });
        ads::Resource { name: name.to_owned(), version: "1".to_owned(), resource, ..Default::default() }
    }

    fn response(resources: Vec<ads::Resource>) -> ads::DeltaDiscoveryResponse {
        ads::DeltaDiscoveryResponse { resources, ..Default::default() }
    }

    fn cluster(name: &str) -> cds::Cluster {
        cds::Cluster {
            name: name.to_owned(),
            cluster_discovery_type: Some(cds::cluster::ClusterDiscoveryType::Type(
                cds::cluster::DiscoveryType::Eds as i32,
            )),
            ..Default::default()
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_field_and_the_last_good_one_stays() {
        let mut state = State::default();
        let good = resource(Type::Cluster, "c", cluster("c").encode_to_vec());
        assert!(state.take(Type::Cluster, response(vec![good])).is_empty());
        let bad = cds::Cluster { close_connections_on_host_health_failure: true, ..cluster("c") };
        let fine = resource(Type::Cluster, "d", cluster("d").encode_to_vec());
        let refused =
            state.take(Type::Cluster, response(vec![resource(Type::Cluster, "c", bad.encode_to_vec()), fine]));
        assert_eq!(refused.len(), 1);
        assert_eq!(&*refused[0].reason, "close_connections_on_host_health_failure: is not supported");
        assert!(refused[0].older_in_force);
        assert!(state.clusters.contains_key("c") && state.clusters.contains_key("d"));
    }

    #[test]
    fn nothing_half_is_published() {
        let mut state = State::default();
        state.take(Type::Listener, response(Vec::new()));
        state.take(Type::Cluster, response(vec![resource(Type::Cluster, "c", cluster("c").encode_to_vec())]));
        let asked = state.subscription_changes();
        assert_eq!(asked[0].resource_names_subscribe, ["c"]);
        assert!(!state.is_complete());
        state.take(Type::Endpoints, response(vec![resource(Type::Endpoints, "c", Vec::new())]));
        assert!(state.is_complete());
        // Gone, and back: its endpoints are waited for again.
        let gone = ads::DeltaDiscoveryResponse { removed_resources: vec!["c".to_owned()], ..Default::default() };
        state.take(Type::Cluster, gone.clone());
        state.subscription_changes();
        state.take(Type::Endpoints, gone);
        state.take(Type::Cluster, response(vec![resource(Type::Cluster, "c", cluster("c").encode_to_vec())]));
        state.subscription_changes();
        assert!(!state.is_complete());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), which in 0_usize..5) {
            let kind = Type::ALL[which];
            let mut state = State::default();
            let _ = state.take(kind, response(vec![resource(kind, "x", bytes)]));
            let _ = state.subscription_changes();
            let _ = state.is_complete();
        }

        #[test]
        fn damaged_messages_never_panic(at in 0_usize..200, byte in any::<u8>()) {
            let message = cds::Cluster {
                connect_timeout: Some(envoy_types::pb::google::protobuf::Duration { seconds: 1, nanos: 5 }),
                circuit_breakers: Some(cds::CircuitBreakers { thresholds: vec![Default::default()], ..Default::default() }),
                outlier_detection: Some(cds::OutlierDetection::default()),
                ..cluster("outbound|80||a.b.svc.cluster.local")
            };
            let mut bytes = message.encode_to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = State::default().take(Type::Cluster, response(vec![resource(Type::Cluster, "x", bytes)]));
        }
    }
}
