//! What a pod's owner should know, though the pod is accepted: the API server shows it to whoever creates the pod.

use serde_json::Value;

use crate::json::Object;
use crate::plan::Plan;
use crate::pod::{self, Pod};
use crate::template::{Template, USER};

/// Warnings about a pod, before anything is added.
pub(crate) fn of(plan: &Plan<'_>, pod: &Pod) -> Vec<String> {
    if plan.template == Template::Gateway {
        return Vec::new();
    }
    let own = |context: Option<&Value>| context?.get("runAsUser")?.as_u64();
    let of_pod = own(pod.spec().get("securityContext"));
    let runs_as_proxy = |container: &&Object| {
        pod::name(container) != crate::plan::PROXY
            && own(container.get("securityContext")).or(of_pod) == Some(USER.into())
    };
    let names = pod.containers.iter().filter(runs_as_proxy).map(pod::name);
    names
        .map(|name| {
            format!("container {name} runs as the proxy's user {USER}: its traffic goes past the proxy, in plain text")
        })
        .collect()
}
