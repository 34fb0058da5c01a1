//! The container `istio-init`: the pod's traffic is redirected before any application starts.

use std::collections::HashSet;

use mesh_types::ports;
use serde_json::{Value, json};

use super::proxy::{self, USER};
use crate::image;
use crate::json::{self, Object};
use crate::plan::{INIT, Plan};

/// The container as the template has it, beside a proxy that is complete.
///
/// # Errors
/// If the proxy runs as somebody whose traffic cannot be told from the application's.
pub(crate) fn container(plan: &Plan<'_>, proxy: &Object) -> Result<Object, String> {
    let values = &plan.settings.values.global;
    let mut container = json::object(json!({
        "name": INIT,
        "image": image::of_init(values, &plan.image),
        "args": arguments(plan, &Owner::of(proxy)?),
        "securityContext": security_context(plan),
    }));
    let mut put = |key: &str, value: Value| drop(container.insert(key.to_owned(), value));
    if !values.image_pull_policy.is_empty() {
        put("imagePullPolicy", values.image_pull_policy.as_str().into());
    }
    let own = Some(&values.init.resources).filter(|resources| !resources.is_empty());
    if let Some(resources) = own.cloned().or_else(|| proxy::resources(plan)) {
        put("resources", resources.into());
    }
    Ok(container)
}

/// Who the proxy is to the kernel.
struct Owner {
    user: u64,
    group: u64,
}

impl Owner {
    /// Out of the proxy's security context, which the user may have changed.
    fn of(proxy: &Object) -> Result<Self, String> {
        let id = |key: &str| {
            let context = proxy.get("securityContext")?;
            context.get(key)?.as_u64()
        };
        let own = u64::from(USER);
        let (user, group) = (id("runAsUser").unwrap_or(own), id("runAsGroup").unwrap_or(own));
        match (user, group) {
            (0, 0) => Err("container istio-proxy: runs as root with root's group, so that its traffic cannot be told \
                           from an application's"
                .to_owned()),
            // Traffic of root is the application's as often as not: the group alone tells the proxy.
            (0, group) => Ok(Self { user: own, group }),
            (user, 0) => Ok(Self { user, group: user }),
            (user, group) => Ok(Self { user, group }),
        }
    }
}

/// Istio's flags, in its order.
fn arguments(plan: &Plan<'_>, owner: &Owner) -> Vec<String> {
    let (asked, values) = (&plan.asks.capture, &plan.settings.values.global);
    let or = |asked: &Option<String>, value: &str| asked.clone().unwrap_or_else(|| value.to_owned());
    let mut arguments = Arguments(vec!["istio-iptables".to_owned()]);
    arguments.flag("-p", ports::OUTBOUND.to_string());
    arguments.flag("-z", ports::INBOUND.to_string());
    arguments.flag("-u", owner.user.to_string());
    arguments.unless_empty("-g", if owner.group == owner.user { String::new() } else { owner.group.to_string() });
    arguments.flag("-m", "REDIRECT".to_owned());
    arguments.flag("-i", or(&asked.include_outbound_networks, &values.proxy.include_ip_ranges));
    arguments.flag("-x", or(&asked.exclude_outbound_networks, &values.proxy.exclude_ip_ranges));
    arguments.flag("-b", or(&asked.include_inbound_ports, &values.proxy.include_inbound_ports));
    let excluded = or(&asked.exclude_inbound_ports, &values.proxy.exclude_inbound_ports);
    arguments.flag("-d", inbound_exclusions(plan.config.status_port(), &excluded));
    arguments.unless_empty("-q", or(&asked.include_outbound_ports, &values.proxy.include_outbound_ports));
    arguments.unless_empty("-o", or(&asked.exclude_outbound_ports, &values.proxy.exclude_outbound_ports));
    arguments.unless_empty("-k", asked.reroute_interfaces.join(","));
    arguments.unless_empty("-c", asked.exclude_interfaces.clone().unwrap_or_default());
    if values.init.force_apply_iptables {
        arguments.0.push("--force-apply".to_owned());
    }
    // What is not proven from inside stops the pod, loudly.
    arguments.0.push("--run-validation".to_owned());
    arguments.0.push(format!("--log_output_level={}", or(&plan.asks.agent_log_level, &values.logging.level)));
    arguments.0
}

/// What kubelet and Prometheus call in plain text: metrics, readiness, status; and what the user excludes.
fn inbound_exclusions(status_port: u16, asked: &str) -> String {
    let own = [ports::PROMETHEUS, ports::READY, status_port].map(|port| port.to_string());
    let asked = asked.split(',').map(str::trim).filter(|port| !port.is_empty()).map(str::to_owned);
    let mut seen = HashSet::new();
    let excluded: Vec<String> = own.into_iter().chain(asked).filter(|port| seen.insert(port.clone())).collect();
    excluded.join(",")
}

struct Arguments(Vec<String>);

impl Arguments {
    fn flag(&mut self, flag: &str, value: String) {
        self.0.extend([flag.to_owned(), value]);
    }

    fn unless_empty(&mut self, flag: &str, value: String) {
        if !value.is_empty() {
            self.flag(flag, value);
        }
    }
}

/// Root with two capabilities: what writing rules takes, and no more.
fn security_context(plan: &Plan<'_>) -> Value {
    let privileged = plan.settings.values.global.proxy.privileged;
    let mut context = json!({
        "allowPrivilegeEscalation": privileged,
        "capabilities": { "add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"] },
        "privileged": privileged,
        // The lock of iptables is a file.
        "readOnlyRootFilesystem": false,
        "runAsUser": 0,
        "runAsGroup": 0,
        "runAsNonRoot": false,
    });
    if let Some(profile) = proxy::seccomp_profile(plan, &plan.settings.values.global.init.seccomp_profile) {
        context["seccompProfile"] = profile;
    }
    context
}
