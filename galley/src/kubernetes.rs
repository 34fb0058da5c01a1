//! A cluster as a source of configuration: everything that concerns the mesh, read and followed through the API server.
//!
//! ```text
//! follow (one task for each watch): events ─▶ readings ─▶ collect: objects in force, findings ─▶ State
//! ```
//!
//! The API server may go away and come back; what was read last stays in force meanwhile. A bad object keeps its last
//! good version. A kind that the cluster does not know yet is waited for.

mod collect;
mod credentials;
mod follow;
mod watches;

use std::sync::Arc;

use kube::Client;
use kube::api::{ApiResource, GroupVersionKind};
use tokio::sync::watch;

use crate::kind::Kind;
use crate::state::State;

use collect::Collector;
use watches::{Watched, Watches};

/// Which part of a cluster concerns one control plane.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The control plane's namespace, where the mesh's settings are.
    pub namespace: Arc<str>,
    /// Its revision. Objects that carry the label `istio.io/rev` with another one are not its own.
    pub revision: Arc<str>,
}

/// Kubernetes' own kinds that are read whole, in all namespaces, as Istio's are.
const WHOLE: [Kind; 7] =
    [Kind::Namespace, Kind::Service, Kind::EndpointSlice, Kind::Ingress, Kind::IngressClass, Kind::Pod, Kind::Node];

/// Reads a cluster and follows it, for as long as somebody listens. Returns when all of it has been read, however long the
/// API server takes to answer: half a mesh is never served.
pub async fn watch_cluster(client: Client, scope: Scope) -> watch::Receiver<State> {
    let settings = [scope.settings(), scope.injection()];
    let settings = settings.map(|name| Watched { kind: Kind::ConfigMap, place: Some((scope.namespace.clone(), name)) });
    let mut watches = Watches::new(client, scope);
    whole().map(|kind| Watched { kind, place: None }).chain(settings).for_each(|watched| watches.start(watched));
    Collector::new(watches).run().await
}

fn whole() -> impl Iterator<Item = Kind> {
    Kind::ALL.iter().copied().filter(|kind| kind.is_istio()).chain(WHOLE)
}

impl Scope {
    /// The ConfigMap of the mesh's settings, as Istio names it.
    pub fn settings(&self) -> Arc<str> {
        self.of_revision("istio")
    }

    /// The ConfigMap of the injector's settings, as Istio names it.
    pub fn injection(&self) -> Arc<str> {
        self.of_revision("istio-sidecar-injector")
    }

    fn of_revision(&self, name: &str) -> Arc<str> {
        if self.is_default() { name.into() } else { format!("{name}-{}", self.revision).into() }
    }

    fn is_default(&self) -> bool {
        matches!(&*self.revision, "" | "default")
    }

    /// True unless the label `istio.io/rev`, if there is one, leaves the object to another revision.
    pub fn covers(&self, label: Option<&str>) -> bool {
        label.is_none_or(|label| label == &*self.revision || label == "default" && self.is_default())
    }
}

/// How the API server names a kind in one of its versions.
pub fn api_resource(kind: Kind, version: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(kind.group(), version, kind.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_names_that_the_api_server_knows() {
        let plurals: Vec<String> = whole().map(|kind| api_resource(kind, kind.versions()[0]).plural).collect();
        for known in [
            "virtualservices",
            "gateways",
            "serviceentries",
            "workloadentries",
            "peerauthentications",
            "authorizationpolicies",
            "endpointslices",
            "ingresses",
            "ingressclasses",
        ] {
            assert!(plurals.iter().any(|plural| plural == known), "{known} is not in {plurals:?}");
        }
    }

    #[test]
    fn an_object_can_be_left_to_a_revision() {
        let scope = |revision: &str| Scope { namespace: "istio-system".into(), revision: revision.into() };
        assert!(scope("").covers(None) && scope("canary").covers(None));
        assert!(scope("canary").covers(Some("canary")) && !scope("canary").covers(Some("default")));
        assert!(scope("").covers(Some("default")) && !scope("default").covers(Some("canary")));
        assert_eq!((&*scope("canary").settings(), &*scope("").settings()), ("istio-canary", "istio"));
    }
}
