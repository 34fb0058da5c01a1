//! Everything that is decided about a pod before anything of it is touched.

mod contradictions;

use serde_json::Value;

use crate::annotations::Asks;
use crate::context::Context;
use crate::image;
use crate::json;
use crate::owner::Workload;
use crate::pod::{self, Pod};
use crate::proxy_config::ProxyConfig;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::template::Template;

/// The container that the mesh adds beside the application.
pub(crate) const PROXY: &str = "istio-proxy";
/// The container that redirects the pod's traffic.
pub(crate) const INIT: &str = "istio-init";
/// The container by which Istio's CNI plugin is verified; never added, but removed where Istio added it.
pub(crate) const VALIDATION: &str = "istio-validation";
/// The label that says in which network a pod is.
pub(crate) const NETWORK: &str = "topology.istio.io/network";

/// What is decided about a pod.
pub(crate) struct Plan<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) context: &'a Context,
    pub(crate) asks: Asks,
    pub(crate) template: Template,
    /// Whether the proxy is a native sidecar.
    pub(crate) native: bool,
    /// Whether the application starts only after the proxy.
    pub(crate) hold: bool,
    pub(crate) config: ProxyConfig,
    pub(crate) image: String,
    pub(crate) workload: Workload,
    /// The name under which telemetry knows the workload.
    pub(crate) workload_name: String,
    pub(crate) pod_has_seccomp_profile: bool,
    /// Name of the network, for pods of several; empty without.
    pub(crate) network: String,
    /// Names of the application's containers.
    pub(crate) app_containers: Vec<String>,
    /// Ports of the pod, as its containers declare them.
    pub(crate) pod_ports: Value,
    /// Seconds until the pod is killed once it was told to end, if it says.
    pub(crate) grace: Option<u64>,
}

impl<'a> Plan<'a> {
    /// Reads the pod's wishes and settles them with the settings.
    ///
    /// # Errors
    /// With everything that cannot be understood or done.
    pub(crate) fn make(settings: &'a Settings, context: &'a Context, pod: &Pod) -> Result<Self, Refusal> {
        let asks = Asks::read(&pod.annotations)?;
        let template = asks.template.unwrap_or(settings.default_template);
        contradictions::check(settings, &asks, template, pod)?;
        let mut config = settings.proxy_config.clone();
        asks.config.iter().cloned().for_each(|layer| config.overlay(layer));
        let native = template == Template::Sidecar && asks.native.unwrap_or_else(|| settings.facts.prefers_native());
        let app_containers: Vec<String> =
            pod.containers.iter().map(pod::name).filter(|name| *name != PROXY).map(str::to_owned).collect();
        if native && app_containers.is_empty() {
            return Err(Refusal::because(format!(
                "spec.containers: a native sidecar stands among the init containers, and there is no container beside \
                 {PROXY}"
            )));
        }
        let hold = config.holds_application() || settings.values.global.proxy.hold_application_until_proxy_starts;
        let values = &settings.values.global;
        let workload = context.workload.clone().unwrap_or_else(|| Workload::of(pod));
        let named = pod.labels.get("service.istio.io/workload-name").filter(|name| !name.is_empty());
        let networks = [pod.labels.get(NETWORK), context.network.as_ref(), Some(&values.network)];
        Ok(Self {
            template,
            native,
            hold: hold && !native,
            image: image::of_proxy(values, &config, &pod.annotations),
            workload_name: named.unwrap_or(&workload.name).clone(),
            workload,
            pod_has_seccomp_profile: pod
                .spec()
                .get("securityContext")
                .is_some_and(|context| context["seccompProfile"].is_object()),
            network: networks.into_iter().flatten().find(|name| !name.is_empty()).cloned().unwrap_or_default(),
            app_containers,
            pod_ports: pod.running().flat_map(|container| json::items(container, "ports")).cloned().collect(),
            grace: pod.spec().get("terminationGracePeriodSeconds").and_then(Value::as_u64),
            settings,
            context,
            asks,
            config,
        })
    }
}
