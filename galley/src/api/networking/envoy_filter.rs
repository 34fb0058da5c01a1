//! `EnvoyFilter`: patches of Envoy's own configuration.

use std::collections::BTreeMap;

use super::sidecar::WorkloadSelector;
use crate::api::common::Json;
use crate::api::security::PolicyTargetReference;
use crate::read::{object, words};
use crate::schema::rule;

object! {
    /// Patches of the configuration of some proxies, in Envoy's own terms.
    pub struct EnvoyFilter {
        /// Which workloads of the namespace; absent means all (of the mesh, in the root namespace).
        workload_selector: Option<WorkloadSelector> = "workloadSelector",
        /// Attachment to gateways and waypoints; excludes `workloadSelector`.
        target_refs: Vec<PolicyTargetReference> = "targetRefs" where { "maxItems": 16 },
        /// The patches, in order.
        config_patches: Vec<ConfigPatch> = "configPatches",
        /// Lower ones come first; then the older ones.
        priority: i32 = "priority",
    }
    where { "x-kubernetes-validations": [rule(
        "(has(self.workloadSelector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
        "only one of targetRefs or workloadSelector can be set"
    )] }
}

object! {
    /// One patch.
    pub struct ConfigPatch {
        /// To what kind of thing.
        apply_to: ApplyTo = "applyTo",
        /// To which of these.
        matches: Option<ConfigMatch> = "match",
        /// What is done.
        patch: Option<Patch> = "patch",
    }
}

words! {
    /// What is patched.
    pub enum ApplyTo {
        /// Nothing.
        Invalid = "INVALID",
        /// A listener.
        Listener = "LISTENER",
        /// A filter chain of a listener.
        FilterChain = "FILTER_CHAIN",
        /// A filter of connections.
        NetworkFilter = "NETWORK_FILTER",
        /// A filter of requests.
        HttpFilter = "HTTP_FILTER",
        /// A table of routes.
        RouteConfiguration = "ROUTE_CONFIGURATION",
        /// A virtual host.
        VirtualHost = "VIRTUAL_HOST",
        /// A route.
        HttpRoute = "HTTP_ROUTE",
        /// A cluster.
        Cluster = "CLUSTER",
        /// An extension's configuration.
        ExtensionConfig = "EXTENSION_CONFIG",
        /// The bootstrap (deprecated).
        Bootstrap = "BOOTSTRAP",
        /// A filter of listeners.
        ListenerFilter = "LISTENER_FILTER",
    }
}

words! {
    /// Where the configuration is used.
    pub enum PatchContext {
        /// Everywhere.
        Any = "ANY",
        /// Towards the workload.
        SidecarInbound = "SIDECAR_INBOUND",
        /// From the workload.
        SidecarOutbound = "SIDECAR_OUTBOUND",
        /// In gateways.
        Gateway = "GATEWAY",
        /// In waypoints.
        Waypoint = "WAYPOINT",
    }
}

object! {
    /// Which ones are patched: all that is set must hold.
    pub struct ConfigMatch {
        /// Where they are used.
        context: PatchContext = "context",
        /// In which proxies.
        proxy: Option<ProxyMatch> = "proxy",
        /// In which listeners.
        listener: Option<ListenerMatch> = "listener",
        /// In which tables of routes.
        route_configuration: Option<RouteConfigurationMatch> = "routeConfiguration",
        /// Which clusters.
        cluster: Option<ClusterMatch> = "cluster",
        /// In which parts of a waypoint.
        waypoint: Option<Json> = "waypoint",
    }
    where { "oneOf": (crate::schema::at_most_one(&["listener", "routeConfiguration", "cluster", "waypoint"])) }
}

object! {
    /// Proxies.
    pub struct ProxyMatch {
        /// Expression for the version.
        proxy_version: String = "proxyVersion",
        /// Metadata of the proxy.
        metadata: BTreeMap<String, String> = "metadata",
    }
}

object! {
    /// Listeners.
    pub struct ListenerMatch {
        /// Port.
        port_number: Option<u32> = "portNumber",
        /// Name of the port.
        port_name: String = "portName",
        /// Filter chain.
        filter_chain: Option<FilterChainMatch> = "filterChain",
        /// Filter of listeners.
        listener_filter: String = "listenerFilter",
        /// Name.
        name: String = "name",
    }
}

object! {
    /// Filter chains.
    pub struct FilterChainMatch {
        /// Name.
        name: String = "name",
        /// Server name.
        sni: String = "sni",
        /// `raw_buffer` or `tls`.
        transport_protocol: String = "transportProtocol",
        /// Protocols of ALPN, separated by commas.
        application_protocols: String = "applicationProtocols",
        /// Filter.
        filter: Option<FilterMatch> = "filter",
        /// Destination port.
        destination_port: Option<u32> = "destinationPort",
    }
}

object! {
    /// Filters.
    pub struct FilterMatch {
        /// Name.
        name: String = "name",
        /// A filter within it.
        sub_filter: Option<SubFilterMatch> = "subFilter",
    }
}

object! {
    /// Filters within filters.
    pub struct SubFilterMatch {
        /// Name.
        name: String = "name",
    }
}

object! {
    /// Tables of routes.
    pub struct RouteConfigurationMatch {
        /// Port.
        port_number: Option<u32> = "portNumber",
        /// Name of the port.
        port_name: String = "portName",
        /// `namespace/name` of a Gateway.
        gateway: String = "gateway",
        /// Virtual host.
        vhost: Option<VirtualHostMatch> = "vhost",
        /// Name.
        name: String = "name",
    }
}

object! {
    /// Virtual hosts.
    pub struct VirtualHostMatch {
        /// Name.
        name: String = "name",
        /// One of its domains.
        domain_name: String = "domainName",
        /// Route.
        route: Option<RouteMatch> = "route",
    }
}

object! {
    /// Routes.
    pub struct RouteMatch {
        /// Name.
        name: String = "name",
        /// What it does.
        action: RouteAction = "action",
    }
}

words! {
    /// What a route does.
    pub enum RouteAction {
        /// Anything.
        Any = "ANY",
        /// It leads to a cluster.
        Route = "ROUTE",
        /// It redirects.
        Redirect = "REDIRECT",
        /// It answers.
        DirectResponse = "DIRECT_RESPONSE",
    }
}

object! {
    /// Clusters.
    pub struct ClusterMatch {
        /// Port of the service.
        port_number: Option<u32> = "portNumber",
        /// Full name of the service.
        service: String = "service",
        /// Subset.
        subset: String = "subset",
        /// Name.
        name: String = "name",
    }
}

object! {
    /// What is done.
    pub struct Patch {
        /// How.
        operation: PatchOperation = "operation",
        /// Envoy's configuration.
        value: Option<Json> = "value",
        /// Where among the filters it belongs.
        filter_class: FilterClass = "filterClass",
    }
}

words! {
    /// How it is patched.
    pub enum PatchOperation {
        /// Not at all.
        Invalid = "INVALID",
        /// Merged into what is there.
        Merge = "MERGE",
        /// Added at the end.
        Add = "ADD",
        /// Removed.
        Remove = "REMOVE",
        /// Inserted before the match.
        InsertBefore = "INSERT_BEFORE",
        /// Inserted after the match.
        InsertAfter = "INSERT_AFTER",
        /// Inserted at the front.
        InsertFirst = "INSERT_FIRST",
        /// In place of the match.
        Replace = "REPLACE",
        /// Merged; lists are replaced.
        MergeAndReplaceList = "MERGE_AND_REPLACE_LIST",
    }
}

words! {
    /// Where among the filters it belongs.
    pub enum FilterClass {
        /// As the operation says.
        Unspecified = "UNSPECIFIED",
        /// After authentication.
        Authn = "AUTHN",
        /// After authorisation.
        Authz = "AUTHZ",
        /// Before statistics.
        Stats = "STATS",
    }
}
