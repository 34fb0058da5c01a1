//! `MeshConfig`: settings of the whole mesh (ConfigMap `istio`, key `mesh`).

use std::time::Duration;

use super::common::{LabelSelector, Unserved};
use super::networking::{HttpRetry, LocalityLb, ProxyImage, TcpKeepalive};
use crate::read::{Read, Reader, object, words};

/// Istio's name of the Service of its gateway.
const INGRESS_SERVICE: &str = "istio-ingressgateway";

object! {
    /// Settings of the whole mesh.
    pub struct MeshConfig {
        /// Longest wait for an upstream connection; absent means 10 s.
        connect_timeout: Option<Duration> = "connectTimeout",
        /// Longest wait for the first bytes of a port without protocol; absent or 0 means without limit.
        protocol_detection_timeout: Option<Duration> = "protocolDetectionTimeout",
        /// Keep-alive of upstream connections.
        tcp_keepalive: Option<TcpKeepalive> = "tcpKeepalive",
        /// Whether HTTP/1.1 is carried in HTTP/2.
        h2_upgrade_policy: H2UpgradePolicy = "h2UpgradePolicy",
        /// How often names are resolved again; absent means 60 s.
        dns_refresh_rate: Option<Unserved> = "dnsRefreshRate",
        /// What becomes of calls to unknown destinations; absent means `ALLOW_ANY`.
        outbound_traffic_policy: Option<MeshOutboundTrafficPolicy> = "outboundTrafficPolicy",
        /// Who sees services that do not say; absent means `*`.
        default_service_export_to: Vec<String> = "defaultServiceExportTo",
        /// Who sees VirtualServices that do not say; absent means `*`.
        default_virtual_service_export_to: Vec<String> = "defaultVirtualServiceExportTo",
        /// Who sees DestinationRules that do not say; absent means `*`.
        default_destination_rule_export_to: Vec<String> = "defaultDestinationRuleExportTo",
        /// Retries of routes that do not say.
        default_http_retry_policy: Option<HttpRetry> = "defaultHttpRetryPolicy",
        /// Preference among localities for rules that do not say.
        locality_lb_setting: Option<LocalityLb> = "localityLbSetting",
        /// How paths are normalised before they are matched.
        path_normalization: Option<PathNormalization> = "pathNormalization",
        /// Settings of single services.
        service_settings: Option<Unserved> = "serviceSettings",
        /// Namespaces that the control plane looks at; none means all.
        discovery_selectors: Vec<LabelSelector> = "discoverySelectors",
        /// Mutual TLS where both sides can; absent means true.
        enable_auto_mtls: Option<bool> = "enableAutoMtls",
        /// Absent means `cluster.local`.
        trust_domain: String = "trustDomain",
        /// Other names of the trust domain.
        trust_domain_aliases: Vec<String> = "trustDomainAliases",
        /// TLS between workloads.
        mesh_mtls: Option<MeshTls> = "meshMTLS",
        /// File of the access log, such as `/dev/stdout`; empty means none.
        access_log_file: String = "accessLogFile",
        /// Format of a line; empty means Envoy's.
        access_log_format: String = "accessLogFormat",
        /// Text or JSON.
        access_log_encoding: AccessLogEncoding = "accessLogEncoding",
        /// Metrics of application and proxy on one port; absent means true.
        enable_prometheus_merge: Option<bool> = "enablePrometheusMerge",
        /// Objects in this namespace hold for the whole mesh; empty means `istio-system`.
        root_namespace: String = "rootNamespace",
        /// Settings of the proxies.
        default_config: Option<DefaultConfig> = "defaultConfig",
        /// What the annotation `kubernetes.io/ingress.class` of Ingresses that are served says; absent means `istio`.
        ingress_class: Option<String> = "ingressClass",
        /// The gateway's Service in the root namespace, whose addresses Ingresses show; absent means
        /// `istio-ingressgateway`. Empty shows those of the nodes of the gateway's pods.
        ingress_service: Option<String> = "ingressService",
        /// Which Ingresses are served.
        ingress_controller_mode: IngressControllerMode = "ingressControllerMode",
        /// The label `istio` of the gateways that serve Ingresses; empty means `ingressService`, or `ingressgateway`
        /// where that is not said either.
        ingress_selector: String = "ingressSelector",
        /// Port of an explicit HTTP proxy.
        proxy_http_port: Option<Unserved> = "proxyHttpPort",
        /// Outbound capture; no other port than 15001.
        proxy_listen_port: Option<u16> = "proxyListenPort" where { "enum": [15001] },
        /// Inbound capture; no other port than 15006.
        proxy_inbound_listen_port: Option<u16> = "proxyInboundListenPort" where { "enum": [15006] },
        /// What becomes of calls to undeclared ports of a workload.
        inbound_traffic_policy: Option<Unserved> = "inboundTrafficPolicy",
        /// Retries of inbound requests.
        default_inbound_http_retry_policy: Option<Unserved> = "defaultInboundHttpRetryPolicy",
        /// Terms of services without a rule.
        default_traffic_policy: Option<Unserved> = "defaultTrafficPolicy",
        /// Zone-aware balancing.
        zone_aware_lb_setting: Option<Unserved> = "zoneAwareLbSetting",
        /// Scopes of services among clusters.
        service_scope_configs: Option<Unserved> = "serviceScopeConfigs",
        /// Visibility of service entries.
        service_entry_visibility: Option<Unserved> = "serviceEntryVisibility",
        /// Further roots.
        ca_certificates: Option<Unserved> = "caCertificates",
        /// Another certificate authority.
        ca: Option<Unserved> = "ca",
        /// TLS outside the mesh.
        tls_defaults: Option<Unserved> = "tlsDefaults",
        /// Tracing, external authorisation, logs.
        extension_providers: Option<Unserved> = "extensionProviders",
        /// Which of them are used by default.
        default_providers: Option<DefaultProviders> = "defaultProviders",
        /// Tracing of everything; only that there is none.
        enable_tracing: Option<bool> = "enableTracing" where { "enum": [false] },
        /// Names of inbound statistics.
        inbound_cluster_stat_name: Option<Unserved> = "inboundClusterStatName",
        /// Names of outbound statistics.
        outbound_cluster_stat_name: Option<Unserved> = "outboundClusterStatName",
        /// Access log of listeners.
        disable_envoy_listener_log: Option<Unserved> = "disableEnvoyListenerLog",
        /// Access log over gRPC.
        enable_envoy_access_log_service: Option<Unserved> = "enableEnvoyAccessLogService",
        /// Where configuration comes from.
        config_sources: Option<Unserved> = "configSources",
        /// Deprecated and without effect in Istio.
        verify_certificate_at_client: Option<Unserved> = "verifyCertificateAtClient",
        /// Idle tunnels.
        hbone_idle_timeout: Option<Unserved> = "hboneIdleTimeout",
    }
}

impl MeshConfig {
    /// The namespace whose objects hold for the whole mesh.
    pub fn root(&self) -> &str {
        if self.root_namespace.is_empty() { "istio-system" } else { &self.root_namespace }
    }

    /// The Service whose addresses Ingresses show; empty shows those of the nodes of the gateway's pods.
    pub fn ingress_gateway_service(&self) -> &str {
        self.ingress_service.as_deref().unwrap_or(INGRESS_SERVICE)
    }

    /// The labels of the gateways that serve Ingresses, by Istio's rule: Service and label have the same name, but for
    /// the default one.
    pub fn ingress_gateway_labels(&self) -> mesh_types::Labels {
        let label = match (self.ingress_selector.as_str(), self.ingress_gateway_service()) {
            ("", "" | INGRESS_SERVICE) => "ingressgateway",
            ("", service) => service,
            (selector, _) => selector,
        };
        [("istio".to_owned(), label.to_owned())].into()
    }
}

words! {
    /// Whether HTTP/1.1 is carried in HTTP/2.
    pub enum H2UpgradePolicy {
        /// No.
        DoNotUpgrade = "DO_NOT_UPGRADE",
        /// Yes.
        Upgrade = "UPGRADE",
    }
}

words! {
    /// Which Ingresses are served.
    pub enum IngressControllerMode {
        /// Those of our class.
        Strict = "STRICT",
        /// And those of no class.
        Default = "DEFAULT",
        /// None.
        Off = "OFF",
    }
}

object! {
    /// What becomes of calls to unknown destinations.
    #[derive(Eq)]
    pub struct MeshOutboundTrafficPolicy {
        /// Let through or refused.
        mode: MeshOutboundMode = "mode",
    }
}

words! {
    /// Let through or refused.
    pub enum MeshOutboundMode {
        /// Let through: Istio's default for the mesh.
        AllowAny = "ALLOW_ANY",
        /// Refused.
        RegistryOnly = "REGISTRY_ONLY",
    }
}

object! {
    /// How paths are normalised.
    #[derive(Eq)]
    pub struct PathNormalization {
        /// How far.
        normalization: PathNormalizationKind = "normalization",
    }
}

words! {
    /// How far paths are normalised.
    pub enum PathNormalizationKind {
        /// As `BASE`.
        Default = "DEFAULT",
        /// Not at all.
        None = "NONE",
        /// Dots and percent-encoding (RFC 3986), backslashes.
        Base = "BASE",
        /// And slashes in a row become one.
        MergeSlashes = "MERGE_SLASHES",
        /// And `%2F` and `%5C` are decoded first.
        DecodeAndMergeSlashes = "DECODE_AND_MERGE_SLASHES",
    }
}

object! {
    /// TLS between workloads.
    #[derive(Eq)]
    pub struct MeshTls {
        /// Least version.
        min_protocol_version: TlsProtocol = "minProtocolVersion",
        /// Key exchanges.
        ecdh_curves: Option<Unserved> = "ecdhCurves",
        /// Suites of TLS 1.2.
        cipher_suites: Option<Unserved> = "cipherSuites",
    }
}

words! {
    /// Least version of TLS.
    pub enum TlsProtocol {
        /// TLS 1.2.
        Auto = "TLS_AUTO",
        /// TLS 1.2.
        V1_2 = "TLSV1_2",
        /// TLS 1.3.
        V1_3 = "TLSV1_3",
    }
}

words! {
    /// Text or JSON.
    pub enum AccessLogEncoding {
        /// Text.
        Text = "TEXT",
        /// JSON.
        Json = "JSON",
    }
}

object! {
    /// Settings of the proxies that the control plane looks at. The proxies read their own from their environment.
    pub struct DefaultConfig {
        /// Where the control plane is.
        discovery_address: String = "discoveryAddress",
        /// Worker threads; 0 means one for each CPU.
        concurrency: Option<u32> = "concurrency",
        /// Longest drain.
        drain_duration: Option<Duration> = "drainDuration",
        /// Wait before the end.
        termination_drain_duration: Option<Duration> = "terminationDrainDuration",
        /// Status port.
        status_port: Option<u16> = "statusPort",
        /// Admin port.
        proxy_admin_port: Option<u16> = "proxyAdminPort",
        /// Environment of the proxies.
        proxy_metadata: mesh_types::Labels = "proxyMetadata",
        /// Image of the proxies.
        image: Option<ProxyImage> = "image",
        /// Containers start after the proxy.
        hold_application_until_proxy_starts: Option<bool> = "holdApplicationUntilProxyStarts",
        /// Name of the mesh.
        mesh_id: String = "meshId",
        /// What stands before a gateway.
        gateway_topology: Option<GatewayTopology> = "gatewayTopology",
        /// Tracing.
        tracing: Option<Unserved> = "tracing",
        /// Headers of Envoy.
        proxy_headers: Option<Unserved> = "proxyHeaders",
        /// How traffic reaches the proxy.
        interception_mode: Option<Unserved> = "interceptionMode",
    }
}

object! {
    /// Who is told of what happens, where nothing else says so.
    #[derive(Eq)]
    pub struct DefaultProviders {
        /// `prometheus`, which is served in any case.
        metrics: Vec<MetricsProvider> = "metrics",
        /// Providers of traces.
        tracing: Option<Unserved> = "tracing",
        /// Providers of access logs; `accessLogFile` writes to a file.
        access_logging: Option<Unserved> = "accessLogging",
    }
}

words! {
    /// Providers of metrics.
    pub enum MetricsProvider {
        /// Prometheus.
        Prometheus = "prometheus",
    }
}

object! {
    /// What stands before a gateway.
    #[derive(Eq)]
    pub struct GatewayTopology {
        /// How many trusted proxies stand before it: so many last entries of `x-forwarded-for` are believed.
        num_trusted_proxies: Option<u32> = "numTrustedProxies",
        /// What becomes of `x-forwarded-client-cert`; absent means `SANITIZE_SET`.
        forward_client_cert_details: ForwardClientCertDetails = "forwardClientCertDetails",
        /// A PROXY header (version 1 or 2) comes first on every connection, and says who calls.
        proxy_protocol: Option<ProxyProtocolConfiguration> = "proxyProtocol",
    }
}

impl GatewayTopology {
    /// Reads a topology that stands by itself, as YAML or JSON.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let documents = crate::yaml::documents(text).map_err(|error| error.message)?;
        let Some(document) = documents.first() else { return Ok(Self::default()) };
        let mut reader = Reader::default();
        let topology = Self::read(document, &mut reader);
        match reader.into_problems().first() {
            Some(problem) => Err(format!("{}: {}", problem.path, problem.message)),
            None => Ok(topology.unwrap_or_default()),
        }
    }
}

words! {
    /// What becomes of `x-forwarded-client-cert`, which tells the application whose certificate the caller showed.
    pub enum ForwardClientCertDetails {
        /// As if it were not said.
        Undefined = "UNDEFINED",
        /// It is removed.
        Sanitize = "SANITIZE",
        /// It is passed on if the caller showed a certificate.
        ForwardOnly = "FORWARD_ONLY",
        /// The caller's is added to it.
        AppendForward = "APPEND_FORWARD",
        /// The caller's stands in its place.
        SanitizeSet = "SANITIZE_SET",
        /// It is passed on in any case.
        AlwaysForwardOnly = "ALWAYS_FORWARD_ONLY",
    }
}

object! {
    /// The PROXY protocol, without settings.
    #[derive(Eq)]
    pub struct ProxyProtocolConfiguration {}
}
