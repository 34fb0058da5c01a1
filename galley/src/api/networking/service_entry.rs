//! `ServiceEntry`, `WorkloadEntry`, `WorkloadGroup`: services and workloads that Kubernetes does not know.

use std::collections::BTreeMap;

use mesh_types::Labels;

use super::sidecar::WorkloadSelector;
use crate::api::common::Unserved;
use crate::read::{object, words};

object! {
    /// A service that Kubernetes does not know.
    pub struct ServiceEntry {
        /// Its names; `*.suffix` is allowed unless names are resolved.
        hosts: Vec<String> = "hosts",
        /// Its virtual addresses; networks only with `NONE` and `STATIC`.
        addresses: Vec<String> = "addresses",
        /// Its ports.
        ports: Vec<ServiceEntryPort> = "ports",
        /// Part of the mesh or not.
        location: Location = "location",
        /// How endpoints are found.
        resolution: Resolution = "resolution",
        /// Endpoints by hand.
        endpoints: Vec<WorkloadEntry> = "endpoints",
        /// Selects WorkloadEntries and Pods of its namespace; excludes `endpoints`.
        workload_selector: Option<WorkloadSelector> = "workloadSelector",
        /// Namespaces that see it: `.`, `*`, `~` (none), names; absent means `MeshConfig.defaultServiceExportTo`.
        export_to: Vec<String> = "exportTo",
        /// Names that its certificates may have.
        subject_alt_names: Vec<String> = "subjectAltNames",
    }
}

object! {
    /// A port of a service entry.
    #[derive(Eq)]
    pub struct ServiceEntryPort {
        /// 1 to 65535.
        number: u16 = "number",
        /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `TCP`, `TLS`…; empty means that the first bytes decide.
        protocol: String = "protocol",
        /// What `WorkloadEntry.ports` refers to.
        name: String = "name",
        /// Port of the endpoints; absent means `number`.
        target_port: Option<u16> = "targetPort",
    }
}

words! {
    /// Part of the mesh or not.
    pub enum Location {
        /// Outside: no mutual TLS.
        MeshExternal = "MESH_EXTERNAL",
        /// Inside.
        MeshInternal = "MESH_INTERNAL",
    }
}

words! {
    /// How endpoints are found.
    pub enum Resolution {
        /// The address that the client called.
        None = "NONE",
        /// `endpoints` or `workloadSelector`.
        Static = "STATIC",
        /// Names are resolved; all addresses are used.
        Dns = "DNS",
        /// Names are resolved; one address at a time is used.
        DnsRoundRobin = "DNS_ROUND_ROBIN",
        /// The name that the client called is resolved.
        DynamicDns = "DYNAMIC_DNS",
    }
}

object! {
    /// A workload by hand.
    #[derive(Eq)]
    pub struct WorkloadEntry {
        /// Address, host name (where names are resolved) or `unix:///path`; empty needs a `network`.
        address: String = "address",
        /// By the service port's name; absent ones are the service's target port.
        ports: BTreeMap<String, u16> = "ports",
        /// Labels, as a pod's.
        labels: Labels = "labels",
        /// Network that it stands in.
        network: String = "network",
        /// `region/zone/subzone`.
        locality: String = "locality",
        /// Relative weight; absent means 1.
        weight: Option<u32> = "weight",
        /// Its identity.
        service_account: String = "serviceAccount",
    }
}

object! {
    /// A template of workload entries that register themselves.
    pub struct WorkloadGroup {
        /// Labels and annotations of each.
        metadata: Option<WorkloadGroupMetadata> = "metadata",
        /// The rest of each.
        template: Option<WorkloadEntry> = "template",
        /// How health is looked after.
        probe: Option<Unserved> = "probe",
    }
}

object! {
    /// Labels and annotations of the workloads of a group.
    #[derive(Eq)]
    pub struct WorkloadGroupMetadata {
        /// Labels.
        labels: Labels = "labels",
        /// Annotations.
        annotations: Labels = "annotations",
    }
}
