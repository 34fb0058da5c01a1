//! What a pod's owner should know, though the pod is accepted: the API server shows it to whoever creates the pod.

use serde_json::Value;

use crate::annotations::{self, PROXY_CONFIG};
use crate::json::Object;
use crate::plan::Plan;
use crate::pod::{self, Pod};
use crate::proxy_config;
use crate::template::{Template, USER};

/// Warnings about a pod, before anything is added.
pub(crate) fn of(plan: &Plan<'_>, pod: &Pod) -> Vec<String> {
    let past_the_proxy = if plan.template == Template::Gateway { Vec::new() } else { past_the_proxy(pod) };
    without_effect(plan, pod).into_iter().chain(past_the_proxy).collect()
}

/// What chooses among Envoy's statistics.
fn without_effect(plan: &Plan<'_>, pod: &Pod) -> Vec<String> {
    let single = pod.annotations.keys().filter(|name| annotations::is_without_effect(name)).cloned();
    let fields = plan.asks.config.iter().flat_map(proxy_config::without_effect);
    let fields = fields.map(|field| format!("{PROXY_CONFIG}: {field}"));
    single
        .chain(fields)
        .map(|what| {
            format!("{what} has no effect: it chooses among Envoy's statistics, of which the proxy keeps those of circuit breakers")
        })
        .collect()
}

/// Containers that run as the proxy's own user.
fn past_the_proxy(pod: &Pod) -> Vec<String> {
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
