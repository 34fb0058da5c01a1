//! The chart's values, as far as pods depend on them, under the names and with the defaults of Istio's charts.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::annotations::read;
use crate::decide::LabelSelector;
use crate::image;
use crate::json::{self, Object};

/// The values.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Values {
    pub(crate) global: Global,
    pub(crate) sidecar_injector_webhook: Webhook,
    pub(crate) gateways: Gateways,
    /// The revision; empty or `default` for the one whose objects have no name of their own.
    pub(crate) revision: String,
}

/// `global`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Global {
    pub(crate) hub: String,
    #[serde(deserialize_with = "word")]
    pub(crate) tag: String,
    pub(crate) variant: String,
    pub(crate) image_pull_policy: String,
    pub(crate) image_pull_secrets: Vec<String>,
    pub(crate) istio_namespace: String,
    #[serde(rename = "meshID")]
    pub(crate) mesh_id: String,
    pub(crate) network: String,
    pub(crate) trust_domain: String,
    pub(crate) ca_address: String,
    pub(crate) log_as_json: bool,
    pub(crate) logging: Logging,
    pub(crate) multi_cluster: MultiCluster,
    pub(crate) proxy: Proxy,
    #[serde(rename = "proxy_init")]
    pub(crate) init: Init,
}

/// `global.logging`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Logging {
    pub(crate) level: String,
}

/// `global.multiCluster`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MultiCluster {
    pub(crate) cluster_name: String,
}

/// `global.proxy`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Proxy {
    pub(crate) auto_inject: String,
    pub(crate) cluster_domain: String,
    pub(crate) component_log_level: String,
    pub(crate) exclude_inbound_ports: String,
    #[serde(rename = "excludeIPRanges")]
    pub(crate) exclude_ip_ranges: String,
    pub(crate) exclude_outbound_ports: String,
    pub(crate) hold_application_until_proxy_starts: bool,
    pub(crate) image: String,
    pub(crate) include_inbound_ports: String,
    #[serde(rename = "includeIPRanges")]
    pub(crate) include_ip_ranges: String,
    pub(crate) include_outbound_ports: String,
    pub(crate) lifecycle: Object,
    pub(crate) log_level: String,
    pub(crate) privileged: bool,
    pub(crate) readiness_failure_threshold: u32,
    pub(crate) readiness_initial_delay_seconds: u32,
    pub(crate) readiness_period_seconds: u32,
    pub(crate) resources: Object,
    pub(crate) seccomp_profile: Object,
    pub(crate) startup_probe: StartupProbe,
    pub(crate) status_port: u16,
}

/// `global.proxy.startupProbe`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StartupProbe {
    pub(crate) enabled: bool,
    pub(crate) failure_threshold: u32,
}

/// `global.proxy_init`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Init {
    pub(crate) image: String,
    pub(crate) force_apply_iptables: bool,
    pub(crate) resources: Object,
    pub(crate) seccomp_profile: Object,
}

/// `sidecarInjectorWebhook`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Webhook {
    pub(crate) always_inject_selector: Vec<LabelSelector>,
    pub(crate) never_inject_selector: Vec<LabelSelector>,
    pub(crate) injected_annotations: BTreeMap<String, String>,
    #[serde(rename = "rewriteAppHTTPProbe")]
    pub(crate) rewrite_app_http_probe: bool,
    pub(crate) default_templates: Vec<String>,
}

/// `gateways`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Gateways {
    /// Security context of gateway pods; empty for ours.
    pub(crate) security_context: Object,
    pub(crate) seccomp_profile: Object,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            hub: "docker.io/weft".to_owned(),
            tag: env!("CARGO_PKG_VERSION").to_owned(),
            variant: String::new(),
            image_pull_policy: String::new(),
            image_pull_secrets: Vec::new(),
            istio_namespace: "istio-system".to_owned(),
            mesh_id: String::new(),
            network: String::new(),
            trust_domain: String::new(),
            ca_address: String::new(),
            log_as_json: false,
            logging: Logging::default(),
            multi_cluster: MultiCluster::default(),
            proxy: Proxy::default(),
            init: Init::default(),
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self { level: "default:info".to_owned() }
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            auto_inject: "enabled".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            component_log_level: "misc:error".to_owned(),
            exclude_inbound_ports: String::new(),
            exclude_ip_ranges: String::new(),
            exclude_outbound_ports: String::new(),
            hold_application_until_proxy_starts: false,
            image: "proxyv2".to_owned(),
            include_inbound_ports: "*".to_owned(),
            include_ip_ranges: "*".to_owned(),
            include_outbound_ports: String::new(),
            lifecycle: Object::new(),
            log_level: "warning".to_owned(),
            privileged: false,
            readiness_failure_threshold: 4,
            readiness_initial_delay_seconds: 0,
            readiness_period_seconds: 15,
            resources: json::object(serde_json::json!({
                "requests": { "cpu": "100m", "memory": "128Mi" },
                "limits": { "cpu": "2000m", "memory": "1024Mi" },
            })),
            seccomp_profile: Object::new(),
            startup_probe: StartupProbe::default(),
            status_port: mesh_types::ports::STATUS,
        }
    }
}

impl Default for StartupProbe {
    fn default() -> Self {
        Self { enabled: true, failure_threshold: 600 }
    }
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            always_inject_selector: Vec::new(),
            never_inject_selector: Vec::new(),
            injected_annotations: BTreeMap::new(),
            rewrite_app_http_probe: true,
            default_templates: Vec::new(),
        }
    }
}

impl Values {
    /// Every value of the right type that still cannot be used.
    pub(crate) fn problems(&self) -> Vec<String> {
        let (global, proxy) = (&self.global, &self.global.proxy);
        let checks = [
            ("revision", if self.revision.is_empty() { Ok(()) } else { check_domain(&self.revision) }),
            ("global.istioNamespace", check_domain(&global.istio_namespace)),
            ("global.variant", image::check_type(&global.variant)),
            ("global.imagePullPolicy", check_pull_policy(&global.image_pull_policy)),
            ("global.logging.level", read::log_levels(&global.logging.level).map(drop)),
            ("global.proxy.logLevel", read::proxy_log_level(&proxy.log_level).map(drop)),
            ("global.proxy.componentLogLevel", read::component_log_levels(&proxy.component_log_level).map(drop)),
            ("global.proxy.includeInboundPorts", read::ports_or_all(&proxy.include_inbound_ports).map(drop)),
            ("global.proxy.excludeInboundPorts", read::ports(&proxy.exclude_inbound_ports).map(drop)),
            ("global.proxy.includeOutboundPorts", read::ports(&proxy.include_outbound_ports).map(drop)),
            ("global.proxy.excludeOutboundPorts", read::ports(&proxy.exclude_outbound_ports).map(drop)),
            ("global.proxy.includeIPRanges", read::networks_or_all(&proxy.include_ip_ranges).map(drop)),
            ("global.proxy.excludeIPRanges", read::networks(&proxy.exclude_ip_ranges).map(drop)),
            ("global.proxy.clusterDomain", check_domain(&proxy.cluster_domain)),
            ("global.proxy.statusPort", read::port(&proxy.status_port.to_string()).map(drop)),
        ];
        let wrong = checks.into_iter().filter_map(|(path, check)| {
            let problem = check.err()?;
            Some(format!("values: {path}: {problem}"))
        });
        wrong.chain(self.late_annotations()).collect()
    }

    /// Annotations that are added to pods after theirs were read would have no effect if the injector reads them.
    fn late_annotations(&self) -> impl Iterator<Item = String> {
        let added = self.sidecar_injector_webhook.injected_annotations.keys();
        added.filter(|name| crate::annotations::is_read(name)).map(|name| {
            format!(
                "values: sidecarInjectorWebhook.injectedAnnotations: {name} would be added after the pod's annotations \
                 are read, without effect; set it in the pods"
            )
        })
    }

    /// Host name and port of the control plane.
    pub(crate) fn control_plane(&self) -> String {
        let service = mesh_types::control_plane(&self.revision);
        format!("{service}.{}.svc:{}", self.global.istio_namespace, mesh_types::ports::XDS_TLS)
    }
}

fn check_pull_policy(policy: &str) -> Result<(), String> {
    match policy {
        "" | "Always" | "IfNotPresent" | "Never" => Ok(()),
        other => Err(format!("{other:?} is none of Always, IfNotPresent, Never")),
    }
}

fn check_domain(domain: &str) -> Result<(), String> {
    let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if domain.split('.').all(label) { Ok(()) } else { Err(format!("{domain:?} is no DNS name")) }
}

/// A word that YAML may have taken for a number, such as the tag `1.24`.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(serde::de::Error::custom(format!("expected a string, found {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_plane_is_where_the_chart_puts_it() {
        for (revision, host) in [
            ("", "istiod.istio-system.svc:15012"),
            ("default", "istiod.istio-system.svc:15012"),
            ("canary", "istiod-canary.istio-system.svc:15012"),
        ] {
            let values = Values { revision: revision.to_owned(), ..Values::default() };
            assert_eq!(values.control_plane(), host, "{revision:?}");
        }
    }
}
