//! Who we are and what we were told at the start: arguments and environment, all read before the first failure is
//! reported.

mod pod;
mod reader;

use std::net::IpAddr;
use std::path::PathBuf;

use mesh_types::{Labels, Name, NodeId, NodeKind, TrustDomain};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::admin::Addresses;
use crate::app_health::Application;
use reader::Reader;

/// The roots of the mesh, where the injector mounts them.
const ROOTS: &str = "/var/run/secrets/istio/root-cert.pem";
/// Revocation lists of the mesh's own authority, where the injector mounts them.
const REVOCATIONS: &str = "/var/run/secrets/istio/crl/ca-crl.pem";

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
    /// Revocation lists of the mesh's own authority, if there is such a file.
    pub authority_crl: PathBuf,
    /// The token by which we prove who we are.
    pub token: PathBuf,
    /// Server name of the control plane, if it is another than the host that is dialled.
    pub control_plane_name: Option<String>,
    /// Where the proxy remembers what its application uses; `None` if there is no such directory.
    pub state_directory: Option<PathBuf>,
    /// How long callers that have not heard that we go are served as ever.
    pub drain: std::time::Duration,
    /// When the pod is killed after it was told to end: what still runs after the drain has until then.
    pub grace: std::time::Duration,
    /// Where operators, kubelets and Prometheus find us.
    pub pages: Addresses,
    /// What of the application is asked on behalf of others.
    pub application: Application,
    /// What stands before a gateway (`gatewayTopology` of Istio's `ProxyConfig`), if the pod says so itself: the control
    /// plane is told.
    pub topology: Option<serde_json::Value>,
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
    /// A pod of a test.
    #[cfg(test)]
    pub(crate) fn of_test() -> Self {
        Self {
            id: "sidecar~10.0.0.1~a.default~default.svc.cluster.local".parse().unwrap(),
            pod: "a".into(),
            namespace: "default".into(),
            service_account: "a".into(),
            trust_domain: Default::default(),
            cluster: "Kubernetes".into(),
            workload: "a".into(),
            labels: Default::default(),
        }
    }

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

/// The name that the control plane's certificate has, by the address that is dialled: the name of its Service in
/// whatever namespace. Addresses without one, such as an IP or `localhost`, are ways to the control plane in its usual
/// place.
fn server_name(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_end_matches('.');
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    if host.contains('.') && !is_address { host } else { "istiod.istio-system.svc" }
}

/// Kubernetes' default for `terminationGracePeriodSeconds`.
const GRACE: std::time::Duration = std::time::Duration::from_secs(30);

/// `PROXY_CONFIG`: what of Istio's `ProxyConfig` concerns the process, and what the injector has dealt with by itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProxyConfig {
    discovery_address: Option<String>,
    concurrency: Option<usize>,
    termination_drain_duration: Option<String>,
    status_port: Option<u16>,
    proxy_admin_port: Option<u16>,
    gateway_topology: Option<serde_json::Value>,
    /// How long Envoy takes to close what an update replaces; no update closes anything here.
    #[serde(rename = "drainDuration")]
    _drain_duration: Option<IgnoredAny>,
    #[serde(rename = "holdApplicationUntilProxyStarts")]
    _hold_application: Option<IgnoredAny>,
    #[serde(rename = "image")]
    _image: Option<IgnoredAny>,
    #[serde(rename = "interceptionMode")]
    _interception_mode: Option<IgnoredAny>,
    #[serde(rename = "meshId")]
    _mesh_id: Option<IgnoredAny>,
    #[serde(rename = "proxyMetadata")]
    _proxy_metadata: Option<IgnoredAny>,
}

/// Problems with the settings, all of them.
#[derive(Debug, thiserror::Error)]
#[error("the settings are not usable:\n  - {}", .0.join("\n  - "))]
pub struct SettingsError(Vec<String>);

impl Settings {
    /// The name that the certificate of the control plane at this address has.
    pub fn control_plane_at<'a>(&'a self, address: &'a str) -> &'a str {
        self.control_plane_name.as_deref().unwrap_or_else(|| server_name(address))
    }

    /// Reads the environment that the injector sets.
    ///
    /// # Errors
    /// With every problem found.
    pub fn read(kind: NodeKind, domain: Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::default();
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
        let labels = reader.json("ISTIO_METAJSON_LABELS").or_else(|| pod::labels(&mut reader)).unwrap_or_default();
        let concurrency = proxy.concurrency.filter(|count| *count > 0).or_else(|| reader.cpu_limit());
        let available = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let roots = (reader.optional("PILOT_CERT_PROVIDER").as_deref() == Some("istiod")).then(|| ROOTS.to_owned());
        let plain = discovery.ends_with(":15010");
        let discovery_roots = reader.optional("XDS_ROOT_CA").or_else(|| roots.clone().filter(|_| !plain));
        let mut pages = Addresses::default();
        pages.admin.set_port(proxy.proxy_admin_port.unwrap_or(pages.admin.port()));
        pages.application.set_port(proxy.status_port.unwrap_or(pages.application.port()));
        let probes = reader.json("ISTIO_KUBE_APP_PROBERS").unwrap_or_default();
        let metrics = reader.json("ISTIO_PROMETHEUS_ANNOTATIONS");
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
            discovery_roots: discovery_roots.map(Into::into),
            authority_roots: reader.optional("CA_ROOT_CA").or(roots).map(Into::into),
            authority_crl: REVOCATIONS.into(),
            token: reader.text("JWT_PATH", "/var/run/secrets/tokens/istio-token").into(),
            control_plane_name: reader.optional("ISTIOD_SAN"),
            state_directory: Some(PathBuf::from(reader.text("WEFT_STATE_DIR", "/etc/istio/proxy")))
                .filter(|directory| directory.is_dir()),
            drain,
            grace: reader.seconds("TERMINATION_GRACE_PERIOD_SECONDS", GRACE),
            pages,
            application: Application { address: ip, probes, metrics },
            topology: proxy.gateway_topology,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_plane_is_known_by_the_name_that_is_dialled() {
        for (address, name) in [
            ("istiod.istio-system.svc:15012", "istiod.istio-system.svc"),
            ("istiod.mesh.svc:15012", "istiod.mesh.svc"),
            ("istiod-canary.mesh.svc:15012", "istiod-canary.mesh.svc"),
            ("istiod.mesh.svc.cluster.local.:15012", "istiod.mesh.svc.cluster.local"),
        ] {
            assert_eq!(server_name(address), name, "{address}");
        }
        for address in ["127.0.0.1:15012", "[::1]:15012", "[::ffff:10.0.0.1]:15012", "localhost:15012"] {
            assert_eq!(server_name(address), "istiod.istio-system.svc", "{address}");
        }
    }
}
