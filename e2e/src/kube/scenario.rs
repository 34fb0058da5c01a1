//! What is true of Weft in a real cluster, in the order in which a user meets it.

mod canary;
pub(super) mod charts;
mod control;
mod demo;
mod edge;
mod gateway;
mod guide;
mod ingress;
mod injection;
mod locality;
mod membership;
mod mistakes;
mod mutual;
mod namespace;
mod plain;
mod rights;
mod rolling;
mod workloads;
mod wounds;

use anyhow::Result;

use super::Kube;

/// What has to be there before a scenario begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A cluster.
    Nothing,
    /// The charts.
    Mesh,
    /// The charts, and the shop of `e2e/yaml/kube/shop.yaml`.
    Shop,
}

/// One scenario. It leaves the cluster as it found it, but for what it needs, which others need too.
pub struct Scenario {
    /// What is done.
    pub title: &'static str,
    /// What should be true.
    pub expected: &'static str,
    /// What has to be there.
    pub needs: Needs,
    /// Does it, and returns what it measured.
    pub run: fn(&Kube) -> Result<String>,
    /// Removes what it made, once a failure has been looked into.
    pub leave: fn(&Kube) -> Result<()>,
}

/// All scenarios.
pub const ALL: &[Scenario] = &[
    Scenario {
        title: "The cluster, before there is a mesh",
        expected: "pods on both nodes reach each other by name and address, and are reached from outside",
        needs: Needs::Nothing,
        run: plain::cluster,
        leave: plain::leave,
    },
    Scenario {
        title: "The user's path: three charts and a label",
        expected: "every command succeeds as it stands in Istio's guides, and everything becomes ready",
        needs: Needs::Nothing,
        run: charts::install,
        leave: nothing,
    },
    Scenario {
        title: "A user's own chart",
        expected: "its pods get istio-init and istio-proxy; the gateway answers for it, over mutual TLS inside",
        needs: Needs::Mesh,
        run: membership::serve,
        leave: nothing,
    },
    Scenario {
        title: "helm upgrade under load",
        expected: "the user's chart is upgraded, each pod is replaced, and no call fails",
        needs: Needs::Mesh,
        run: membership::upgrade,
        leave: membership::leave,
    },
    Scenario {
        title: "What the demo shows",
        expected: "balancing, gRPC, ingress, canaries, timeouts, retries, faults, a breaker, STRICT, a policy: as there",
        needs: Needs::Mesh,
        run: demo::walk,
        leave: demo::leave,
    },
    Scenario {
        title: "Which pods get a proxy",
        expected: "labels of namespace and pod, annotation, revision and the node's network count in Istio's order",
        needs: Needs::Mesh,
        run: injection::matrix,
        leave: injection::leave,
    },
    Scenario {
        title: "A Job, an init container, a StatefulSet, an ExternalName",
        expected: "the Job completes; all are called over mutual TLS, instances by their own names",
        needs: Needs::Shop,
        run: workloads::run,
        leave: workloads::leave,
    },
    Scenario {
        title: "Mistakes, and a good object",
        expected: "mistakes are refused with the right word; a good one says when every proxy has it",
        needs: Needs::Shop,
        run: mistakes::refused,
        leave: mistakes::leave,
    },
    Scenario {
        title: "From PERMISSIVE to STRICT under load",
        expected: "strangers are refused, members notice nothing, and new pods pass their probes",
        needs: Needs::Shop,
        run: mutual::strict,
        leave: mutual::leave,
    },
    Scenario {
        title: "A rolling update under load",
        expected: "every pod is replaced, and no call fails",
        needs: Needs::Shop,
        run: rolling::update,
        leave: nothing,
    },
    Scenario {
        title: "A scale-down under load",
        expected: "pods are taken away, and no call fails",
        needs: Needs::Shop,
        run: rolling::scale_down,
        leave: rolling::restore,
    },
    Scenario {
        title: "A node drained under load",
        expected: "its pods move to the other node, the control plane's and the gateway's too, and no call fails",
        needs: Needs::Shop,
        run: rolling::drain,
        leave: rolling::restore_nodes,
    },
    Scenario {
        title: "Instances nearby, and elsewhere",
        expected: "calls stay in their zone while it has an instance, and go to the other one after; none fails",
        needs: Needs::Shop,
        run: locality::fail_over,
        leave: locality::leave,
    },
    Scenario {
        title: "A gateway with TLS, mutual TLS, TLS passed on, and TCP",
        expected: "each answers those that it should, and nobody else",
        needs: Needs::Shop,
        run: edge::protocols,
        leave: nothing,
    },
    Scenario {
        title: "A gateway's key changed under load",
        expected: "new callers see the new certificate; the connection made before is not closed",
        needs: Needs::Shop,
        run: edge::rotation,
        leave: edge::leave,
    },
    Scenario {
        title: "The gateway restarted under load",
        expected: "callers who keep their connections are moved to the new pods, and no call fails",
        needs: Needs::Shop,
        run: gateway::restarted,
        leave: gateway::close,
    },
    Scenario {
        title: "An Ingress of Kubernetes",
        expected: "Istio's gateway answers for it, over TLS too, and its status says where",
        needs: Needs::Shop,
        run: ingress::served,
        leave: ingress::leave,
    },
    Scenario {
        title: "istiod killed under load",
        expected: "traffic goes on, and a change made after its return reaches every proxy",
        needs: Needs::Shop,
        run: control::istiod,
        leave: control::leave,
    },
    Scenario {
        title: "Two replicas of istiod, either killed under load",
        expected: "traffic goes on, and changes reach every proxy at any time",
        needs: Needs::Shop,
        run: control::replicas,
        leave: control::leave_replicas,
    },
    Scenario {
        title: "The API server killed under load",
        expected: "traffic goes on, and a change made after its return reaches every proxy",
        needs: Needs::Shop,
        run: control::api_server,
        leave: control::leave,
    },
    Scenario {
        title: "Proxies killed",
        expected: "they heal, and nothing passes in plain text meanwhile",
        needs: Needs::Shop,
        run: wounds::proxy_killed,
        leave: wounds::leave,
    },
    Scenario {
        title: "A namespace deleted under load",
        expected: "it goes with all that is in it, and others notice nothing",
        needs: Needs::Shop,
        run: namespace::deleted,
        leave: namespace::leave,
    },
    Scenario {
        title: "The rights of our service accounts",
        expected: "what they must not do, they cannot",
        needs: Needs::Shop,
        run: rights::least,
        leave: nothing,
    },
    Scenario {
        title: "A canary of the control plane under load",
        expected: "a namespace moves to another revision and back, and no call fails",
        needs: Needs::Shop,
        run: canary::there_and_back,
        leave: canary::leave,
    },
    Scenario {
        title: "helm uninstall",
        expected: "what the charts installed is gone but for the definitions of Istio's kinds",
        needs: Needs::Mesh,
        run: charts::uninstall,
        leave: nothing,
    },
    Scenario {
        title: "What the documents say",
        expected: "every command in them succeeds, and every object is taken",
        needs: Needs::Nothing,
        run: guide::walk,
        leave: guide::leave,
    },
];

/// What is measured where containers cannot be killed.
const UNKILLABLE: &str =
    "SKIPPED: the nodes are no containers of a docker that answers, so nothing on them can be killed";

/// For scenarios that leave nothing behind, or what the next one needs.
fn nothing(_: &Kube) -> Result<()> {
    Ok(())
}
