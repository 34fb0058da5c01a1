//! What a sidecar may see of the mesh, as an Istio `Sidecar` says; without one, all that is exported to its namespace.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use galley::Object;
use galley::api::{self, OutboundTrafficMode};

use crate::proxy::{Proxy, selects};
use crate::world::{Service, World, host_matches};

/// What one `Sidecar` lets its proxies see.
#[derive(Debug)]
pub(crate) struct Scope {
    /// `None` lets everything be seen.
    hosts: Option<Vec<Import>>,
    /// What becomes of calls to unknown destinations, if it says.
    pub(crate) allow_any: Option<bool>,
    /// Tells it apart from other scopes of the same world.
    pub(crate) id: u64,
}

/// One entry of `egress.hosts`.
#[derive(Debug)]
struct Import {
    /// `None` is every namespace.
    namespace: Option<String>,
    host: String,
    /// It takes away.
    excludes: bool,
}

impl Scope {
    /// The scope of a proxy: of the oldest `Sidecar` that selects its workload, else of its namespace's own, else of the
    /// mesh's. Gateways have none.
    pub(crate) fn of(world: &World, proxy: &Proxy) -> Option<Arc<Self>> {
        if proxy.is_gateway() {
            return None;
        }
        let own = |object: &&Object<api::Sidecar>| *object.meta.namespace == *proxy.namespace();
        let root = |object: &&Object<api::Sidecar>| *object.meta.namespace == *world.root_namespace();
        let selector = |object: &Object<api::Sidecar>| object.spec.workload_selector.clone();
        let all = || world.objects.sidecars.values();
        let selecting = all()
            .filter(own)
            .filter(|object| selector(object).is_some_and(|selector| selects(&selector.labels, &proxy.labels)));
        let oldest = |one: &&Object<api::Sidecar>, other: &&Object<api::Sidecar>| {
            one.meta.precedence().cmp(&other.meta.precedence())
        };
        let plain = |object: &&Object<api::Sidecar>| selector(object).is_none();
        let found = selecting
            .min_by(oldest)
            .or_else(|| all().filter(own).filter(plain).min_by(oldest))
            .or_else(|| all().filter(root).filter(plain).min_by(oldest))?;
        Some(Arc::new(Self::read(found)))
    }

    fn read(object: &Object<api::Sidecar>) -> Self {
        let own = &*object.meta.namespace;
        let hosts = object.spec.egress.iter().flat_map(|egress| &egress.hosts);
        let policy = object.spec.outbound_traffic_policy.as_ref();
        let mut hasher = DefaultHasher::new();
        (own, &*object.meta.name).hash(&mut hasher);
        Self {
            hosts: (!object.spec.egress.is_empty()).then(|| hosts.filter_map(|host| Import::read(host, own)).collect()),
            allow_any: policy.map(|policy| policy.mode == OutboundTrafficMode::AllowAny),
            id: hasher.finish(),
        }
    }

    /// True if a service is let be seen.
    pub(crate) fn sees(&self, service: &Service) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let covered = |excludes: bool| hosts.iter().any(|one| one.excludes == excludes && one.covers(service));
        covered(false) && !covered(true)
    }
}

impl Import {
    /// Reads `namespace/host`; `None` for what covers nothing.
    fn read(text: &str, own: &str) -> Option<Self> {
        let (namespace, host) = text.split_once('/')?;
        let (namespace, excludes) = match namespace.strip_prefix('~') {
            Some("") => return None,
            Some(namespace) => (namespace, true),
            None => (namespace, false),
        };
        let namespace = match namespace {
            "*" => None,
            "." => Some(own.to_owned()),
            named => Some(named.to_owned()),
        };
        Some(Self { namespace, host: host.to_owned(), excludes })
    }

    fn covers(&self, service: &Service) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == service.namespace)
            && (self.host == "*" || host_matches(&self.host, &service.host))
    }
}
