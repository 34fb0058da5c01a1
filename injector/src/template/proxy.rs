//! The container `istio-proxy`.

use mesh_types::ports;
use serde_json::{Value, json};

use super::{Template, env, volumes};
use crate::json::{self, Object};
use crate::plan::{PROXY, Plan};

/// User and group of the proxy: what it sends is not redirected again.
pub(crate) const USER: u32 = 1337;

/// The container as the template has it.
pub(crate) fn container(plan: &Plan<'_>) -> Object {
    let mut container = json::object(json!({
        "name": PROXY,
        "image": plan.image,
        "args": arguments(plan),
        "env": env::of_proxy(plan),
        "ports": [{ "containerPort": ports::PROMETHEUS, "protocol": "TCP", "name": "http-envoy-prom" }],
        "readinessProbe": readiness(plan),
        "securityContext": security_context(plan),
        "volumeMounts": volumes::mounts(plan),
    }));
    let mut put = |key: &str, value: Value| drop(container.insert(key.to_owned(), value));
    let values = &plan.settings.values.global;
    if !values.image_pull_policy.is_empty() {
        put("imagePullPolicy", values.image_pull_policy.as_str().into());
    }
    // Else whoever is a moment too late for the first probe of readiness waits a whole period for the second.
    if values.proxy.startup_probe.enabled {
        put("startupProbe", probe(0, 1, values.proxy.startup_probe.failure_threshold));
    }
    if let Some(resources) = resources(plan) {
        put("resources", resources.into());
    }
    if let Some(lifecycle) = lifecycle(plan) {
        put("lifecycle", lifecycle);
    }
    if plan.native {
        put("restartPolicy", "Always".into());
    }
    container
}

fn arguments(plan: &Plan<'_>) -> Vec<String> {
    let (asks, values) = (&plan.asks, &plan.settings.values.global);
    let level = |asked: &Option<String>, value: &str| asked.clone().unwrap_or_else(|| value.to_owned());
    let role = match plan.template {
        Template::Sidecar => "sidecar",
        Template::Gateway => "router",
    };
    let mut arguments = vec![
        "proxy".to_owned(),
        role.to_owned(),
        "--domain".to_owned(),
        format!("$(POD_NAMESPACE).svc.{}", values.proxy.cluster_domain),
        format!("--proxyLogLevel={}", level(&asks.log_level, &values.proxy.log_level)),
        format!("--proxyComponentLogLevel={}", level(&asks.component_log_level, &values.proxy.component_log_level)),
        format!("--log_output_level={}", level(&asks.agent_log_level, &values.logging.level)),
    ];
    if values.log_as_json {
        arguments.push("--log_as_json".to_owned());
    }
    arguments
}

fn readiness(plan: &Plan<'_>) -> Value {
    let (asked, values) = (&plan.asks.readiness, &plan.settings.values.global.proxy);
    probe(
        asked.initial_delay.unwrap_or(values.readiness_initial_delay_seconds),
        asked.period.unwrap_or(values.readiness_period_seconds),
        asked.failure_threshold.unwrap_or(values.readiness_failure_threshold),
    )
}

fn probe(initial_delay: u32, period: u32, failure_threshold: u32) -> Value {
    json!({
        "httpGet": { "path": "/healthz/ready", "port": ports::READY },
        "initialDelaySeconds": initial_delay,
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failure_threshold,
    })
}

/// The annotations', or else the values'. A gateway's are its chart's.
pub(super) fn resources(plan: &Plan<'_>) -> Option<Object> {
    let asked = &plan.asks.resources;
    let quantities = |cpu: &Option<String>, memory: &Option<String>| -> Object {
        let both = [("cpu", cpu), ("memory", memory)].into_iter();
        both.filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into()))).collect()
    };
    let requests = quantities(&asked.cpu, &asked.memory);
    let limits = quantities(&asked.cpu_limit, &asked.memory_limit);
    let lists = [("requests", requests), ("limits", limits)].into_iter().filter(|(_, list)| !list.is_empty());
    let asked: Object = lists.map(|(name, list)| (name.to_owned(), list.into())).collect();
    let values = &plan.settings.values.global.proxy.resources;
    let values = Some(values).filter(|values| plan.template == Template::Sidecar && !values.is_empty());
    if asked.is_empty() { values.cloned() } else { Some(asked) }
}

/// The values', or what makes the application wait for the proxy, or a native sidecar drain before it is told to stop.
fn lifecycle(plan: &Plan<'_>) -> Option<Value> {
    let values = &plan.settings.values.global.proxy.lifecycle;
    if !values.is_empty() {
        return Some(values.clone().into());
    }
    if plan.hold && plan.template == Template::Sidecar {
        return Some(json!({ "postStart": { "exec": { "command": ["pilot-agent", "wait"] } } }));
    }
    let debug_port = format!("--debug-port={}", plan.config.status_port());
    let drain =
        || json!({ "preStop": { "exec": { "command": ["pilot-agent", "request", debug_port, "POST", "drain"] } } });
    plan.native.then(drain)
}

/// The `restricted` Pod Security level, unless the pod or the operator asks for more.
fn security_context(plan: &Plan<'_>) -> Value {
    let privileged = plan.settings.values.global.proxy.privileged && plan.template == Template::Sidecar;
    let mut capabilities = json!({ "drop": ["ALL"] });
    if plan.asks.binds_low_ports {
        capabilities["add"] = json!(["NET_BIND_SERVICE"]);
    }
    let mut context = json!({
        "allowPrivilegeEscalation": privileged,
        "capabilities": capabilities,
        "privileged": privileged,
        "readOnlyRootFilesystem": true,
        // Only root holds capabilities without a file that gives them; the group still tells the proxy's traffic.
        "runAsUser": if plan.asks.binds_low_ports { 0 } else { USER },
        "runAsGroup": USER,
        "runAsNonRoot": !plan.asks.binds_low_ports,
    });
    let values = &plan.settings.values;
    let configured = match plan.template {
        Template::Sidecar => &values.global.proxy.seccomp_profile,
        Template::Gateway => &values.gateways.seccomp_profile,
    };
    if let Some(profile) = seccomp_profile(plan, configured) {
        context["seccompProfile"] = profile;
    }
    context
}

/// The operator's, or the runtime's default where the pod has none of its own.
pub(super) fn seccomp_profile(plan: &Plan<'_>, configured: &Object) -> Option<Value> {
    if !configured.is_empty() {
        return Some(configured.clone().into());
    }
    (!plan.pod_has_seccomp_profile).then(|| json!({ "type": "RuntimeDefault" }))
}
