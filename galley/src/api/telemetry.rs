//! `telemetry.istio.io`: what is counted, traced and logged.

use std::collections::BTreeMap;
use std::time::Duration;

use super::security::{PolicyTargetReference, WorkloadSelectorMatch};
use crate::read::{object, words};
use crate::schema::selector_or_targets;

object! {
    /// What is counted, traced and logged.
    pub struct Telemetry {
        /// Which workloads of the namespace; absent means all (of the mesh, in the root namespace).
        selector: Option<WorkloadSelectorMatch> = "selector",
        /// Attachment to a gateway or waypoint.
        target_ref: Option<PolicyTargetReference> = "targetRef",
        /// Attachment to gateways and waypoints; excludes `selector`.
        target_refs: Vec<PolicyTargetReference> = "targetRefs" where { "maxItems": 16 },
        /// Traces.
        tracing: Vec<Tracing> = "tracing",
        /// Metrics.
        metrics: Vec<Metrics> = "metrics",
        /// Access logs.
        access_logging: Vec<AccessLogging> = "accessLogging",
    }
    where { "x-kubernetes-validations": (selector_or_targets()) }
}

object! {
    /// Traces.
    pub struct Tracing {
        /// Which traffic.
        matches: Option<TracingSelector> = "match",
        /// Where they go: names of `MeshConfig.extensionProviders`.
        providers: Vec<ProviderRef> = "providers",
        /// Percentage of requests.
        random_sampling_percentage: Option<f64> = "randomSamplingPercentage" where { "minimum": 0, "maximum": 100 },
        /// Nothing is reported.
        disable_span_reporting: Option<bool> = "disableSpanReporting",
        /// Tags by name.
        custom_tags: BTreeMap<String, CustomTag> = "customTags",
        /// Istio's own tags; absent means true.
        enable_istio_tags: Option<bool> = "enableIstioTags",
        /// Sampling follows `x-request-id`; absent means true.
        use_request_id_for_trace_sampling: Option<bool> = "useRequestIdForTraceSampling",
        /// Context is not sent on.
        disable_context_propagation: Option<bool> = "disableContextPropagation",
    }
}

object! {
    /// Which traffic is traced.
    pub struct TracingSelector {
        /// By the proxy's side.
        mode: WorkloadMode = "mode",
    }
}

words! {
    /// The proxy's side.
    pub enum WorkloadMode {
        /// As `CLIENT_AND_SERVER`.
        Undefined = "UNDEFINED",
        /// The caller's.
        Client = "CLIENT",
        /// The called one's.
        Server = "SERVER",
        /// Both.
        ClientAndServer = "CLIENT_AND_SERVER",
    }
}

object! {
    /// A provider by name.
    pub struct ProviderRef {
        /// One of `MeshConfig.extensionProviders`.
        name: String = "name" where { "minLength": 1 },
    }
    where { "required": ["name"] }
}

object! {
    /// A tag: one of these says its value.
    pub struct CustomTag {
        /// Always the same.
        literal: Option<TagLiteral> = "literal",
        /// Of the proxy's environment.
        environment: Option<TagSource> = "environment",
        /// Of a header field of the request.
        header: Option<TagSource> = "header",
        /// By Envoy's command operators.
        formatter: Option<TagLiteral> = "formatter",
    }
    where { "oneOf": (crate::schema::at_most_one(&["literal", "environment", "header", "formatter"])) }
}

object! {
    /// A value.
    pub struct TagLiteral {
        /// The text.
        value: String = "value" where { "minLength": 1 },
    }
    where { "required": ["value"] }
}

object! {
    /// Where a value stands.
    pub struct TagSource {
        /// Name of the variable or header field.
        name: String = "name" where { "minLength": 1 },
        /// If it is not there.
        default_value: String = "defaultValue",
    }
    where { "required": ["name"] }
}

object! {
    /// Metrics.
    pub struct Metrics {
        /// Where they go: names of `MeshConfig.extensionProviders`.
        providers: Vec<ProviderRef> = "providers",
        /// Changes of single metrics, in order.
        overrides: Vec<MetricOverride> = "overrides",
        /// How often TCP is reported; absent means 5 s.
        reporting_interval: Option<Duration> = "reportingInterval",
    }
}

object! {
    /// A change of metrics.
    pub struct MetricOverride {
        /// Which ones.
        matches: Option<MetricSelector> = "match",
        /// They are not counted.
        disabled: Option<bool> = "disabled",
        /// Tags by name.
        tag_overrides: BTreeMap<String, TagOverride> = "tagOverrides",
    }
}

object! {
    /// Metrics: one of Istio's, or another.
    pub struct MetricSelector {
        /// One of Istio's.
        metric: Option<StandardMetric> = "metric",
        /// Another, by name.
        custom_metric: String = "customMetric" where { "minLength": 1 },
        /// By the proxy's side.
        mode: WorkloadMode = "mode",
    }
    where { "oneOf": (crate::schema::at_most_one(&["metric", "customMetric"])) }
}

words! {
    /// Istio's metrics.
    pub enum StandardMetric {
        /// Every one.
        AllMetrics = "ALL_METRICS",
        /// Requests.
        RequestCount = "REQUEST_COUNT",
        /// Their duration.
        RequestDuration = "REQUEST_DURATION",
        /// Their size.
        RequestSize = "REQUEST_SIZE",
        /// Size of responses.
        ResponseSize = "RESPONSE_SIZE",
        /// Connections opened.
        TcpOpenedConnections = "TCP_OPENED_CONNECTIONS",
        /// Connections closed.
        TcpClosedConnections = "TCP_CLOSED_CONNECTIONS",
        /// Bytes of responses over TCP.
        TcpSentBytes = "TCP_SENT_BYTES",
        /// Bytes of requests over TCP.
        TcpReceivedBytes = "TCP_RECEIVED_BYTES",
        /// Messages of gRPC requests.
        GrpcRequestMessages = "GRPC_REQUEST_MESSAGES",
        /// Messages of gRPC responses.
        GrpcResponseMessages = "GRPC_RESPONSE_MESSAGES",
    }
}

object! {
    /// A change of a tag.
    pub struct TagOverride {
        /// Set or removed.
        operation: TagOperation = "operation",
        /// Expression (CEL) for its value.
        value: String = "value",
    }
    where { "x-kubernetes-validations": [
        crate::schema::rule(
            "(has(self.operation) ? self.operation : '') == 'UPSERT' ? (has(self.value) ? self.value != '' : false) : true",
            "value must be set when operation is UPSERT"
        ),
        crate::schema::rule(
            "(has(self.operation) ? self.operation : '') == 'REMOVE' ? !has(self.value) : true",
            "value must not be set when operation is REMOVE"
        )
    ] }
}

words! {
    /// What becomes of a tag.
    pub enum TagOperation {
        /// It is set.
        Upsert = "UPSERT",
        /// It is removed.
        Remove = "REMOVE",
    }
}

object! {
    /// Access logs.
    pub struct AccessLogging {
        /// Which traffic.
        matches: Option<LogSelector> = "match",
        /// Where they go: names of `MeshConfig.extensionProviders`.
        providers: Vec<ProviderRef> = "providers",
        /// Nothing is logged.
        disabled: Option<bool> = "disabled",
        /// Which requests.
        filter: Option<LogFilter> = "filter",
    }
}

object! {
    /// Which traffic is logged.
    pub struct LogSelector {
        /// By the proxy's side.
        mode: WorkloadMode = "mode",
    }
}

object! {
    /// Which requests are logged.
    pub struct LogFilter {
        /// Expression (CEL) that must hold.
        expression: String = "expression",
    }
}
