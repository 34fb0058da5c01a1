//! The terms on which upstream connections are chosen, limited, judged and encrypted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::virtual_service::Percent;
use crate::api::common::{PortSelector, Unserved};
use crate::read::{object, words};
use crate::schema::at_most_one;

object! {
    /// Terms for all ports.
    pub struct TrafficPolicy {
        /// How an endpoint is chosen.
        load_balancer: Option<LoadBalancer> = "loadBalancer",
        /// Limits.
        connection_pool: Option<ConnectionPool> = "connectionPool",
        /// Passive health checks.
        outlier_detection: Option<OutlierDetection> = "outlierDetection",
        /// TLS to the service.
        tls: Option<ClientTls> = "tls",
        /// Terms for single ports; they replace the ones above, they do not add to them.
        port_level_settings: Vec<PortTrafficPolicy> = "portLevelSettings" where { "maxItems": 4096 },
        /// Tunnelling in `CONNECT` or `POST`.
        tunnel: Option<Unserved> = "tunnel",
        /// PROXY protocol towards the service.
        proxy_protocol: Option<ProxyProtocol> = "proxyProtocol",
        /// Limit of retries relative to requests in flight.
        retry_budget: Option<RetryBudget> = "retryBudget",
    }
}

object! {
    /// A header ahead of each connection that says who calls.
    #[derive(Eq)]
    pub struct ProxyProtocol {
        /// In text or in binary form.
        version: ProxyProtocolVersion = "version",
    }
}

words! {
    /// Versions of the PROXY protocol.
    pub enum ProxyProtocolVersion {
        /// Text.
        V1 = "V1",
        /// Binary.
        V2 = "V2",
    }
}

object! {
    /// Terms for one port.
    pub struct PortTrafficPolicy {
        /// The service's port.
        port: Option<PortSelector> = "port",
        /// How an endpoint is chosen.
        load_balancer: Option<LoadBalancer> = "loadBalancer",
        /// Limits.
        connection_pool: Option<ConnectionPool> = "connectionPool",
        /// Passive health checks.
        outlier_detection: Option<OutlierDetection> = "outlierDetection",
        /// TLS to the service.
        tls: Option<ClientTls> = "tls",
    }
}

object! {
    /// How an endpoint is chosen; `simple` excludes `consistentHash`.
    pub struct LoadBalancer {
        /// Algorithm without affinity.
        simple: Option<SimpleLb> = "simple",
        /// Affinity by a hash.
        consistent_hash: Option<ConsistentHash> = "consistentHash",
        /// Preference among localities; absent means `MeshConfig.localityLbSetting`.
        locality_lb_setting: Option<LocalityLb> = "localityLbSetting",
        /// Zone-aware balancing.
        zone_aware_lb_setting: Option<Unserved> = "zoneAwareLbSetting",
        /// `warmup.duration` (deprecated).
        warmup_duration_secs: Option<Duration> = "warmupDurationSecs",
        /// Slow start of new endpoints.
        warmup: Option<Warmup> = "warmup",
    }
    where { "oneOf": (at_most_one(&["simple", "consistentHash"])) }
}

words! {
    /// Algorithms without affinity.
    pub enum SimpleLb {
        /// Istio's default, `LEAST_REQUEST`.
        Unspecified = "UNSPECIFIED",
        /// At random.
        Random = "RANDOM",
        /// To the address that the client called.
        Passthrough = "PASSTHROUGH",
        /// In turn.
        RoundRobin = "ROUND_ROBIN",
        /// The less loaded of two.
        LeastRequest = "LEAST_REQUEST",
        /// `LEAST_REQUEST` (deprecated).
        LeastConn = "LEAST_CONN",
    }
}

object! {
    /// Affinity: exactly one key, at most one algorithm.
    pub struct ConsistentHash {
        /// Key: a header field.
        http_header_name: String = "httpHeaderName",
        /// Key: a cookie.
        http_cookie: Option<HttpCookie> = "httpCookie",
        /// Key: the caller's address.
        use_source_ip: bool = "useSourceIp",
        /// Key: a query parameter.
        http_query_parameter_name: String = "httpQueryParameterName",
        /// Algorithm: a ring; the default.
        ring_hash: Option<RingHash> = "ringHash",
        /// Algorithm: Maglev.
        maglev: Option<MaglevHash> = "maglev",
        /// `ringHash.minimumRingSize` (deprecated).
        minimum_ring_size: Option<u64> = "minimumRingSize",
    }
    where { "allOf": [
        { "oneOf": (at_most_one(&["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"])) },
        { "oneOf": (at_most_one(&["ringHash", "maglev"])) }
    ] }
}

object! {
    /// A cookie as key of a hash.
    pub struct HttpCookie {
        /// Its name.
        name: String = "name",
        /// Its path.
        path: String = "path",
        /// If set, a cookie is made where there is none; `0s` makes a session cookie.
        ttl: Option<Duration> = "ttl",
        /// Further attributes of the cookie.
        attributes: Option<Unserved> = "attributes",
    }
    where { "required": ["name"] }
}

object! {
    /// Ring hash.
    #[derive(Eq)]
    pub struct RingHash {
        /// Points at least; absent means 1024.
        minimum_ring_size: Option<u64> = "minimumRingSize",
    }
}

object! {
    /// Maglev.
    #[derive(Eq)]
    pub struct MaglevHash {
        /// Prime, below 5,000,011; absent means 65537.
        table_size: Option<u64> = "tableSize",
    }
}

object! {
    /// Preference among localities. `distribute`, `failover` and `failoverPriority`: at most `failover` with
    /// `failoverPriority`.
    pub struct LocalityLb {
        /// Where traffic from a locality goes.
        distribute: Vec<LocalityDistribute> = "distribute",
        /// Which region comes next.
        failover: Vec<LocalityFailover> = "failover",
        /// Labels, in order, that decide how near an endpoint is; `key=value` sets the value.
        failover_priority: Vec<String> = "failoverPriority",
        /// Absent means true.
        enabled: Option<bool> = "enabled",
    }
}

object! {
    /// Where the traffic from one locality goes.
    #[derive(Eq)]
    pub struct LocalityDistribute {
        /// `region/zone/subzone`; `*` ends it.
        from: String = "from",
        /// Localities with percentages; the sum is 100.
        to: BTreeMap<String, u32> = "to",
    }
}

object! {
    /// Which region comes next.
    #[derive(Eq)]
    pub struct LocalityFailover {
        /// Region.
        from: String = "from",
        /// Region.
        to: String = "to",
    }
}

object! {
    /// Slow start.
    pub struct Warmup {
        /// How long.
        duration: Option<Duration> = "duration",
        /// Share at first; absent means 10.
        minimum_percent: Option<f64> = "minimumPercent" where { "minimum": 0, "maximum": 100 },
        /// Form of the curve; absent means 1.
        aggression: Option<f64> = "aggression" where { "minimum": 1 },
    }
    where { "required": ["duration"] }
}

object! {
    /// Limits. What is absent is unlimited.
    pub struct ConnectionPool {
        /// Of connections.
        tcp: Option<TcpPool> = "tcp",
        /// Of requests.
        http: Option<HttpPool> = "http",
    }
}

object! {
    /// Limits of connections.
    #[derive(Eq)]
    pub struct TcpPool {
        /// At once; absent or 0 means unlimited.
        max_connections: Option<u32> = "maxConnections",
        /// Absent means `MeshConfig.connectTimeout`.
        connect_timeout: Option<Duration> = "connectTimeout",
        /// Keep-alive probes.
        tcp_keepalive: Option<TcpKeepalive> = "tcpKeepalive",
        /// A connection ends after this.
        max_connection_duration: Option<Duration> = "maxConnectionDuration",
        /// A TCP connection without bytes ends after this; absent means one hour.
        idle_timeout: Option<Duration> = "idleTimeout",
    }
}

object! {
    /// TCP keep-alive; what is absent is the kernel's.
    #[derive(Eq)]
    pub struct TcpKeepalive {
        /// Unanswered probes before the connection is given up.
        probes: Option<u32> = "probes",
        /// Silence before the first probe.
        time: Option<Duration> = "time",
        /// Between probes.
        interval: Option<Duration> = "interval",
    }
}

object! {
    /// Limits of requests.
    pub struct HttpPool {
        /// Requests waiting for a connection; absent or 0 means unlimited.
        http1_max_pending_requests: Option<u32> = "http1MaxPendingRequests",
        /// Requests at once; absent or 0 means unlimited.
        http2_max_requests: Option<u32> = "http2MaxRequests",
        /// 1 turns keep-alive off; absent or 0 means unlimited.
        max_requests_per_connection: Option<u32> = "maxRequestsPerConnection",
        /// Retries at once; absent or 0 means unlimited.
        max_retries: Option<u32> = "maxRetries",
        /// An idle connection ends after this; absent means one hour.
        idle_timeout: Option<Duration> = "idleTimeout",
        /// Whether HTTP/1.1 is carried in HTTP/2.
        h2_upgrade_policy: H2Upgrade = "h2UpgradePolicy",
        /// Use the protocol of the client.
        use_client_protocol: bool = "useClientProtocol",
        /// Streams at once on one HTTP/2 connection.
        max_concurrent_streams: Option<u32> = "maxConcurrentStreams",
        /// HTTP/2 pings.
        http2_keep_alive: Option<Unserved> = "http2KeepAlive",
    }
}

words! {
    /// Whether HTTP/1.1 is carried in HTTP/2.
    pub enum H2Upgrade {
        /// As `MeshConfig.h2UpgradePolicy` says.
        Default = "DEFAULT",
        /// No.
        DoNotUpgrade = "DO_NOT_UPGRADE",
        /// Yes.
        Upgrade = "UPGRADE",
    }
}

object! {
    /// Passive health checks. If the message is there, Istio's defaults fill it.
    #[derive(Eq)]
    pub struct OutlierDetection {
        /// `consecutive5xxErrors` (deprecated).
        consecutive_errors: Option<u32> = "consecutiveErrors",
        /// Failures of connecting are counted apart.
        split_external_local_origin_errors: bool = "splitExternalLocalOriginErrors",
        /// Such failures in a row; absent means 5.
        consecutive_local_origin_failures: Option<u32> = "consecutiveLocalOriginFailures",
        /// 502, 503 and 504 in a row; absent or 0 means off.
        consecutive_gateway_errors: Option<u32> = "consecutiveGatewayErrors",
        /// 5xx in a row; absent means 5, 0 means off.
        consecutive_5xx_errors: Option<u32> = "consecutive5xxErrors",
        /// Between sweeps; absent means 10 s.
        interval: Option<Duration> = "interval",
        /// First ejection; absent means 30 s.
        base_ejection_time: Option<Duration> = "baseEjectionTime",
        /// Percentage that may be ejected; absent means 10.
        max_ejection_percent: Option<u32> = "maxEjectionPercent",
        /// Below this percentage of healthy endpoints all are used; absent means 0, off.
        min_health_percent: Option<u32> = "minHealthPercent",
        /// Status codes that count as errors.
        outlier_detection_http_errors: Option<Unserved> = "outlierDetectionHttpErrorCodes",
    }
}

object! {
    /// TLS to the service.
    #[derive(Eq)]
    pub struct ClientTls {
        /// Kind of TLS.
        mode: ClientTlsMode = "mode",
        /// File of our certificate chain (`MUTUAL`).
        client_certificate: String = "clientCertificate",
        /// File of our key (`MUTUAL`).
        private_key: String = "privateKey",
        /// File of the roots; empty means the system's.
        ca_certificates: String = "caCertificates",
        /// Secret with all three.
        credential_name: String = "credentialName",
        /// Names that the certificate may have; empty means the host (see `sni`).
        subject_alt_names: Vec<String> = "subjectAltNames",
        /// Server name to send; empty means the host.
        sni: String = "sni",
        /// Trust whatever comes.
        insecure_skip_verify: Option<bool> = "insecureSkipVerify",
        /// File of revocation lists for the certificates of servers. Read anew when it changes.
        ca_crl: String = "caCrl",
    }
}

words! {
    /// Kinds of TLS to a service.
    pub enum ClientTlsMode {
        /// Plain text.
        Disable = "DISABLE",
        /// TLS without a certificate of ours.
        Simple = "SIMPLE",
        /// With a certificate of ours.
        Mutual = "MUTUAL",
        /// With the mesh's certificates.
        IstioMutual = "ISTIO_MUTUAL",
    }
}

object! {
    /// Limit of retries relative to requests in flight.
    pub struct RetryBudget {
        /// Percent of requests in flight; absent means 20.
        percent: Option<Percent> = "percent",
        /// Always allowed; absent means 3.
        min_retry_concurrency: Option<u32> = "minRetryConcurrency",
        /// Time over which requests are counted.
        budget_interval: Option<Unserved> = "budgetInterval",
    }
}
