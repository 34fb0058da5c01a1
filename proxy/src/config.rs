//! Who we are and what we were told at the start: arguments and environment, all read before the first failure is
//! reported.

use std::env;
use std::net::IpAddr;
use std::path::PathBuf;

use mesh_types::{Labels, Name, NodeId, NodeKind, TrustDomain};
use serde::Deserialize;

use crate::admin::Addresses;

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who we are.
    pub node: Node,
    /// Worker threads.
    pub concurrency: usize,
    /// `host:port` of the control plane's xDS.
    pub discovery: String,
    /// `host:port` of the certificate authority.
    pub authority: String,
    /// Roots by which the control plane is known; plain text without.
    pub discovery_roots: Option<PathBuf>,
    /// Roots by which the certificate authority is known.
    pub authority_roots: Option<PathBuf>,
    /// The token by which we prove who we are.
    pub token: PathBuf,
    /// Server name of the control plane.
    pub control_plane_name: String,
    /// Where the proxy remembers what its application uses; `None` if there is no such directory.
    pub state_directory: Option<PathBuf>,
    /// Longest drain.
    pub drain: std::time::Duration,
    /// Where operators, kubelets and Prometheus find us.
    pub pages: Addresses,
}

/// The workload that we stand beside.
#[derive(Clone, Debug)]
pub struct Node {
    /// As xDS knows us.
    pub id: NodeId,
    /// Pod name.
    pub pod: Name,
    /// Namespace.
    pub namespace: Name,
    /// Service account.
    pub service_account: Name,
    /// Trust domain.
    pub trust_domain: TrustDomain,
    /// Cluster id.
    pub cluster: Name,
    /// Workload (deployment) name.
    pub workload: Name,
    /// Labels.
    pub labels: Labels,
}

impl Node {
    /// The label that Istio calls canonical name: `service.istio.io/canonical-name`, `app.kubernetes.io/name`, `app`, or
    /// the workload's name.
    pub fn canonical_name(&self) -> &str {
        let labels = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
        labels.iter().find_map(|label| self.labels.get(*label)).map_or(&self.workload, String::as_str)
    }

    /// The label that Istio calls canonical revision.
    pub fn canonical_revision(&self) -> &str {
        let labels = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];
        labels.iter().find_map(|label| self.labels.get(*label)).map_or("latest", String::as_str)
    }

    /// A label, or `unknown`.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("unknown", String::as_str)
    }

    /// The identity that the mesh gives us.
    pub fn identity(&self) -> Option<mesh_types::Identity> {
        mesh_types::Identity::new(self.trust_domain.clone(), &self.namespace, &self.service_account).ok()
    }
}

/// `PROXY_CONFIG`: what of Istio's `ProxyConfig` concerns the process.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProxyConfig {
    discovery_address: Option<String>,
    concurrency: Option<usize>,
    termination_drain_duration: Option<String>,
}

/// Problems with the settings, all of them.
#[derive(Debug, thiserror::Error)]
#[error("the settings are not usable:\n  - {}", .0.join("\n  - "))]
pub struct SettingsError(Vec<String>);

impl Settings {
    /// Reads the environment that the injector sets.
    ///
    /// # Errors
    /// With every problem found.
    pub fn read(kind: NodeKind, domain: Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader(Vec::new());
        let proxy: ProxyConfig = reader.json("PROXY_CONFIG").unwrap_or_default();
        let namespace = reader.text("POD_NAMESPACE", "default");
        let pod = reader.required("POD_NAME", "the pod's name (the injector sets it from metadata.name)");
        let ip: Option<IpAddr> =
            reader.required("INSTANCE_IP", "the pod's address (from status.podIP)").and_then(|ip| {
                ip.parse().map_err(|_| reader.problem(format!("INSTANCE_IP: {ip:?} is not an IP address"))).ok()
            });
        let trust_domain = reader.text("TRUST_DOMAIN", "cluster.local");
        let trust_domain = trust_domain.parse().map_err(|error| reader.problem(format!("TRUST_DOMAIN: {error}"))).ok();
        let discovery = proxy.discovery_address.clone().or_else(|| reader.optional("DISCOVERY_ADDRESS"));
        let discovery = discovery.unwrap_or_else(|| "istiod.istio-system.svc:15012".to_owned());
        let drain = reader.duration("terminationDrainDuration", proxy.termination_drain_duration.as_deref());
        let labels = reader.json("ISTIO_METAJSON_LABELS").unwrap_or_default();
        let concurrency = proxy.concurrency.filter(|count| *count > 0);
        let available = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workload = reader.optional("ISTIO_META_WORKLOAD_NAME").or_else(|| pod.clone());
        let service_account = reader.text("SERVICE_ACCOUNT", "default");
        let authority = reader.optional("CA_ADDR").unwrap_or_else(|| discovery.clone());
        let (Some(pod), Some(ip), Some(trust_domain), Some(workload), true) =
            (pod, ip, trust_domain, workload, reader.0.is_empty())
        else {
            return Err(SettingsError(reader.0));
        };
        let domain = domain.unwrap_or_else(|| format!("{namespace}.svc.cluster.local"));
        let id = NodeId { kind, ip, workload: pod.clone(), namespace: namespace.clone(), domain };
        Ok(Self {
            node: Node {
                id,
                pod: pod.into(),
                namespace: namespace.into(),
                service_account: service_account.into(),
                trust_domain,
                cluster: reader.text("ISTIO_META_CLUSTER_ID", "Kubernetes").into(),
                workload: workload.into(),
                labels,
            },
            concurrency: concurrency.unwrap_or_else(available),
            discovery,
            authority,
            discovery_roots: reader.optional("XDS_ROOT_CA").map(Into::into),
            authority_roots: reader.optional("CA_ROOT_CA").map(Into::into),
            token: reader.text("JWT_PATH", "/var/run/secrets/tokens/istio-token").into(),
            control_plane_name: reader.text("ISTIOD_SAN", "istiod.istio-system.svc"),
            state_directory: Some(PathBuf::from(reader.text("WEFT_STATE_DIR", "/etc/istio/proxy")))
                .filter(|directory| directory.is_dir()),
            drain,
            pages: Addresses::default(),
        })
    }
}

/// Reads variables and keeps what is wrong with them.
struct Reader(Vec<String>);

impl Reader {
    fn problem(&mut self, problem: String) {
        self.0.push(problem);
    }

    fn optional(&mut self, name: &str) -> Option<String> {
        env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn text(&mut self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    fn required(&mut self, name: &str, meaning: &str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.problem(format!("{name} is not set: {meaning}"));
        }
        value
    }

    fn json<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let text = self.optional(name)?;
        serde_json::from_str(&text).map_err(|error| self.problem(format!("{name}: {error}"))).ok()
    }

    /// Seconds (`5s`), the form in which the injector writes durations; Istio's default is 5 s.
    fn duration(&mut self, name: &str, text: Option<&str>) -> std::time::Duration {
        const DEFAULT: std::time::Duration = std::time::Duration::from_secs(5);
        let Some(text) = text else { return DEFAULT };
        match text.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok()).filter(|seconds| *seconds >= 0.0) {
            Some(seconds) => std::time::Duration::from_secs_f64(seconds.min(86_400.0)),
            None => {
                self.problem(format!("PROXY_CONFIG: {name}: {text:?} is not a number of seconds, such as 5s"));
                DEFAULT
            }
        }
    }
}
