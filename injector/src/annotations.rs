//! What a pod asks for by annotations (Istio's `annotation.yaml`). Each is understood, or refused by name; so is a name
//! that does not exist.

mod catalogue;
pub(crate) mod read;

use mesh_types::Labels;
use serde_json::Value;

use crate::json::Object;
use crate::proxy_config::{self, ProxyConfig};
use crate::refusal::Refusal;
use crate::template::Template;

pub(crate) use catalogue::{did_you_mean, is_read, is_without_effect};

pub(crate) const STATUS: &str = "sidecar.istio.io/status";
pub(crate) const OVERRIDES: &str = "proxy.istio.io/overrides";
pub(crate) const PROXY_IMAGE: &str = "sidecar.istio.io/proxyImage";
pub(crate) const PROXY_IMAGE_TYPE: &str = "sidecar.istio.io/proxyImageType";
const USER_VOLUME: &str = "sidecar.istio.io/userVolume";
pub(crate) const PROXY_CONFIG: &str = "proxy.istio.io/config";

/// What the annotations of a pod ask for; `None` where they do not say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asks {
    pub(crate) template: Option<Template>,
    pub(crate) native: Option<bool>,
    /// Layers of `ProxyConfig`, the last one wins.
    pub(crate) config: Vec<Object>,
    pub(crate) log_level: Option<String>,
    pub(crate) component_log_level: Option<String>,
    pub(crate) agent_log_level: Option<String>,
    pub(crate) rewrite_probes: Option<bool>,
    pub(crate) merge_metrics: Option<bool>,
    pub(crate) binds_low_ports: bool,
    pub(crate) readiness: Readiness,
    pub(crate) resources: Resources,
    pub(crate) capture: Capture,
    pub(crate) user_volumes: Object,
    pub(crate) user_volume_mounts: Object,
}

/// `readiness.status.sidecar.istio.io/*`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness {
    pub(crate) initial_delay: Option<u32>,
    pub(crate) period: Option<u32>,
    pub(crate) failure_threshold: Option<u32>,
}

/// `sidecar.istio.io/proxyCPU` and the like. Where one is set, none of the values' resources remain, as in Istio.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources {
    pub(crate) cpu: Option<String>,
    pub(crate) memory: Option<String>,
    pub(crate) cpu_limit: Option<String>,
    pub(crate) memory_limit: Option<String>,
}

/// `traffic.sidecar.istio.io/*`: what is redirected, as flags of istio-init.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    pub(crate) include_outbound_networks: Option<String>,
    pub(crate) exclude_outbound_networks: Option<String>,
    pub(crate) include_inbound_ports: Option<String>,
    pub(crate) exclude_inbound_ports: Option<String>,
    pub(crate) include_outbound_ports: Option<String>,
    pub(crate) exclude_outbound_ports: Option<String>,
    pub(crate) exclude_interfaces: Option<String>,
    pub(crate) reroute_interfaces: Vec<String>,
}

impl Asks {
    /// Reads all annotations of a pod.
    ///
    /// # Errors
    /// With every annotation that cannot be understood or asks for what is not served.
    pub(crate) fn read(annotations: &Labels) -> Result<Self, Refusal> {
        let mut asks = Self::default();
        let mut refusal = Refusal::default();
        for (name, value) in annotations {
            let short = catalogue::check(name, value).and_then(|known| match known {
                Some(short) => asks.take(short, value),
                None => Ok(()),
            });
            if let Err(problem) = short {
                refusal.add(format!("annotation {name}: {problem}"));
            }
            if refusal.is_full() {
                break;
            }
        }
        refusal.into_result().map(|()| asks)
    }

    /// Takes one annotation, by its name.
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let capture = &mut self.capture;
        match name {
            "inject.istio.io/templates" => self.template = Some(value.parse()?),
            PROXY_CONFIG => self.config.push(config_layer(value)?),
            "sidecar.istio.io/discoveryAddress" => self.config.push(single("discoveryAddress", value.into())?),
            "status.sidecar.istio.io/port" => self.config.push(single("statusPort", read::port(value)?.into())?),
            "sidecar.istio.io/nativeSidecar" => self.native = Some(read::truth(value)?),
            "sidecar.istio.io/capNetBindService" => self.binds_low_ports = read::truth(value)?,
            PROXY_IMAGE => crate::image::check_reference(value)?,
            PROXY_IMAGE_TYPE => crate::image::check_type(value)?,
            "sidecar.istio.io/proxyCPU" => self.resources.cpu = Some(read::quantity(value)?),
            "sidecar.istio.io/proxyCPULimit" => self.resources.cpu_limit = Some(read::quantity(value)?),
            "sidecar.istio.io/proxyMemory" => self.resources.memory = Some(read::quantity(value)?),
            "sidecar.istio.io/proxyMemoryLimit" => self.resources.memory_limit = Some(read::quantity(value)?),
            USER_VOLUME => self.user_volumes = objects_by_name(value)?,
            "sidecar.istio.io/userVolumeMount" => self.user_volume_mounts = mounts_by_name(value)?,
            "sidecar.istio.io/logLevel" => self.log_level = Some(read::proxy_log_level(value)?),
            "sidecar.istio.io/componentLogLevel" => {
                self.component_log_level = Some(read::component_log_levels(value)?);
            }
            "sidecar.istio.io/agentLogLevel" => self.agent_log_level = Some(read::log_levels(value)?),
            "sidecar.istio.io/rewriteAppHTTPProbers" => self.rewrite_probes = Some(read::truth(value)?),
            "sidecar.istio.io/interceptionMode" => read::interception_mode(value)?,
            "prometheus.istio.io/merge-metrics" => self.merge_metrics = Some(read::truth(value)?),
            "readiness.status.sidecar.istio.io/initialDelaySeconds" => {
                self.readiness.initial_delay = Some(read::count(value)?);
            }
            "readiness.status.sidecar.istio.io/periodSeconds" => {
                self.readiness.period = Some(read::positive(value)?);
            }
            "readiness.status.sidecar.istio.io/failureThreshold" => {
                self.readiness.failure_threshold = Some(read::positive(value)?);
            }
            "traffic.sidecar.istio.io/includeOutboundIPRanges" => {
                capture.include_outbound_networks = Some(all_or(read::networks_or_all(value)?));
            }
            "traffic.sidecar.istio.io/excludeOutboundIPRanges" => {
                capture.exclude_outbound_networks = Some(joined(read::networks(value)?));
            }
            "traffic.sidecar.istio.io/includeInboundPorts" => {
                capture.include_inbound_ports = Some(all_or(read::ports_or_all(value)?));
            }
            "traffic.sidecar.istio.io/excludeInboundPorts" => {
                capture.exclude_inbound_ports = Some(joined(read::ports(value)?));
            }
            "traffic.sidecar.istio.io/includeOutboundPorts" => {
                capture.include_outbound_ports = Some(joined(read::ports(value)?));
            }
            "traffic.sidecar.istio.io/excludeOutboundPorts" => {
                capture.exclude_outbound_ports = Some(joined(read::ports(value)?));
            }
            "traffic.sidecar.istio.io/excludeInterfaces" => {
                capture.exclude_interfaces = Some(joined(read::interfaces(value)?));
            }
            "traffic.sidecar.istio.io/kubevirtInterfaces" | "istio.io/reroute-virtual-interfaces" => {
                capture.reroute_interfaces.extend(read::interfaces(value)?);
            }
            // The injector's own, or read elsewhere (`decide`).
            _ => {}
        }
        Ok(())
    }
}

/// The volumes that an annotation asks for, by name; none if it cannot be read.
pub(crate) fn user_volumes(annotations: &Labels) -> Object {
    annotations.get(USER_VOLUME).and_then(|text| objects_by_name(text).ok()).unwrap_or_default()
}

/// A setting of the pod's, out of YAML, checked.
fn config_layer(yaml: &str) -> Result<Object, String> {
    let layer = ProxyConfig::layer(yaml)?;
    match proxy_config::problems(&layer) {
        problems if problems.is_empty() => Ok(layer),
        problems => Err(problems.join("; ")),
    }
}

fn single(field: &str, value: Value) -> Result<Object, String> {
    let layer = Object::from_iter([(field.to_owned(), value)]);
    match proxy_config::problems(&layer) {
        problems if problems.is_empty() => Ok(layer),
        problems => Err(problems.join("; ")),
    }
}

/// A JSON object of objects, by name.
fn objects_by_name(text: &str) -> Result<Object, String> {
    let objects: Object = serde_json::from_str(text).map_err(|error| format!("is no JSON object: {error}"))?;
    match objects.iter().find(|(_, value)| !value.is_object()) {
        Some((name, _)) => Err(format!("{name} is no object")),
        None => Ok(objects),
    }
}

/// Mounts, by the name of their volume.
fn mounts_by_name(text: &str) -> Result<Object, String> {
    let mounts = objects_by_name(text)?;
    match mounts.iter().find(|(_, mount)| mount.get("mountPath").and_then(Value::as_str).is_none()) {
        Some((name, _)) => Err(format!("{name} has no mountPath")),
        None => Ok(mounts),
    }
}

fn joined<T: ToString>(items: Vec<T>) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

fn all_or<T: ToString>(items: Option<Vec<T>>) -> String {
    items.map_or_else(|| "*".to_owned(), joined)
}
