//! Whether a pod gets a proxy: Istio's order of precedence inside the webhook. Which pods come to the webhook at all
//! is for its selectors to say (see [`crate::select`]).

mod policy;
mod selector;

use std::fmt;

use serde_json::Value;

use crate::pod::Pod;
use crate::refusal::Refusal;

pub(crate) use policy::Policy;
pub(crate) use selector::LabelSelector;

/// The label, and the older annotation, by which a pod asks for a proxy or for none.
pub(crate) const INJECT: &str = "sidecar.istio.io/inject";

/// Namespaces of Kubernetes itself: what runs there must start without the mesh.
const SYSTEM_NAMESPACES: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// Why a pod is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has the node's network, which must not be redirected.
    HostNetwork,
    /// It is part of Kubernetes.
    SystemNamespace(String),
    /// It says that it wants no proxy.
    OptedOut(Asked),
    /// `sidecarInjectorWebhook.neverInjectSelector` matches its labels.
    NeverSelected,
    /// It does not ask, and `global.proxy.autoInject` is disabled.
    NotAsked,
    /// Its namespace is not in the mesh, or in the mesh of another revision.
    NotSelected(String),
    /// It has all that an injection would add.
    AlreadyInjected,
    /// The request does not create a pod.
    NotACreation(String),
}

/// Where a pod says whether it wants a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By the label `sidecar.istio.io/inject`.
    ByLabel,
    /// By the annotation of the same name.
    ByAnnotation,
}

/// What is decided about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Inject,
    Leave(Reason),
}

/// Decides, in this order: the node's network, Kubernetes' own namespaces, the pod's label, its annotation,
/// `neverInjectSelector`, `alwaysInjectSelector`, `autoInject`.
///
/// # Errors
/// If the pod says something that is neither yes nor no.
pub(crate) fn decide(policy: &Policy, namespace: &str, pod: &Pod) -> Result<Decision, Refusal> {
    if pod.spec().get("hostNetwork").and_then(Value::as_bool) == Some(true) {
        return Ok(Decision::Leave(Reason::HostNetwork));
    }
    if SYSTEM_NAMESPACES.contains(&namespace) {
        return Ok(Decision::Leave(Reason::SystemNamespace(namespace.to_owned())));
    }
    Ok(match wish(pod)? {
        Some((_, true)) => Decision::Inject,
        Some((asked, false)) => Decision::Leave(Reason::OptedOut(asked)),
        None if policy.never_inject(&pod.labels) => Decision::Leave(Reason::NeverSelected),
        None if policy.always_inject(&pod.labels) || policy.injects_by_default() => Decision::Inject,
        None => Decision::Leave(Reason::NotAsked),
    })
}

/// What the pod says, and where. The label precedes the annotation; empty means nothing, as in Istio.
fn wish(pod: &Pod) -> Result<Option<(Asked, bool)>, Refusal> {
    let label = pod.labels.get(INJECT).map(|word| (Asked::ByLabel, word));
    let said = label.or_else(|| pod.annotations.get(INJECT).map(|word| (Asked::ByAnnotation, word)));
    let Some((asked, word)) = said else { return Ok(None) };
    match word.as_str() {
        "" => Ok(None),
        "true" => Ok(Some((asked, true))),
        "false" => Ok(Some((asked, false))),
        other => Err(Refusal::because(format!("{asked} {INJECT}: {other:?} is neither \"true\" nor \"false\""))),
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByLabel => "label",
            Self::ByAnnotation => "annotation",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostNetwork => f.write_str("it has the node's network (hostNetwork: true)"),
            Self::SystemNamespace(namespace) => write!(f, "the namespace {namespace} is Kubernetes' own"),
            Self::OptedOut(asked) => write!(f, "its {asked} {INJECT} is \"false\""),
            Self::NeverSelected => f.write_str("sidecarInjectorWebhook.neverInjectSelector matches its labels"),
            Self::NotAsked => {
                write!(f, "global.proxy.autoInject is disabled and the pod has no label {INJECT}: \"true\"")
            }
            Self::NotSelected(why) => f.write_str(why),
            Self::AlreadyInjected => f.write_str("it is injected already"),
            Self::NotACreation(what) => write!(f, "the request is no creation of a pod ({what})"),
        }
    }
}

#[cfg(test)]
mod tests;
