//! `ServiceEntry`, `WorkloadEntry`, `WorkloadGroup`: services and workloads that Kubernetes does not know.

use std::collections::BTreeMap;

use mesh_types::Labels;

use super::sidecar::WorkloadSelector;
use crate::api::common::Unserved;
use crate::node::Node;
use crate::read::{Read, Reader, object, words};
use crate::schema::{Schema, rule};

/// In CEL: a workload says where it is.
const HAS_ADDRESS: &str = "has(self.address) || has(self.network)";

object! {
    /// A service that Kubernetes does not know.
    pub struct ServiceEntry {
        /// Its names; `*.suffix` is allowed unless names are resolved.
        hosts: Vec<String> = "hosts" where { "minItems": 1, "maxItems": 256, "x-kubernetes-validations": [
            rule("self.all(host, host != '*')", "hostname cannot be wildcard")
        ] },
        /// Its virtual addresses; networks only with `NONE` and `STATIC`.
        addresses: Vec<String> = "addresses" where {
            "maxItems": 256,
            "items": { "type": "string", "maxLength": 64 }
        },
        /// Its ports.
        ports: Vec<ServiceEntryPort> = "ports" where {
            "maxItems": 256,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-validations": [rule(
                "self.all(one, self.exists_one(other, one.number == other.number))",
                "port number cannot be duplicated"
            )]
        },
        /// Part of the mesh or not.
        location: Location = "location",
        /// How endpoints are found.
        resolution: Resolution = "resolution",
        /// Endpoints by hand.
        endpoints: Vec<WorkloadEntry> = "endpoints" where { "maxItems": 4096 },
        /// Selects WorkloadEntries and Pods of its namespace; excludes `endpoints`.
        workload_selector: Option<WorkloadSelector> = "workloadSelector",
        /// Namespaces that see it: `.`, `*`, `~` (none), names; absent means `MeshConfig.defaultServiceExportTo`.
        export_to: Vec<String> = "exportTo",
        /// Names that its certificates may have.
        subject_alt_names: Vec<String> = "subjectAltNames",
    }
    where { "required": ["hosts"], "x-kubernetes-validations": [
        rule(
            "(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1",
            "only one of WorkloadSelector or Endpoints can be set"
        ),
        rule(
            "!(has(self.resolution) && self.resolution in ['DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'] && \
             has(self.addresses) && self.addresses.exists(address, address.contains('/')))",
            "CIDR addresses are allowed only for NONE/STATIC resolution types"
        ),
        rule(
            "(has(self.resolution) ? self.resolution : 'NONE') != 'NONE' || !has(self.endpoints)",
            "NONE mode cannot set endpoints"
        ),
        rule(
            "(has(self.resolution) ? self.resolution : '') != 'DNS_ROUND_ROBIN' || !has(self.endpoints) || \
             self.endpoints.size() <= 1",
            "DNS_ROUND_ROBIN mode cannot have multiple endpoints"
        )
    ] }
}

object! {
    /// A port of a service entry.
    #[derive(Eq)]
    pub struct ServiceEntryPort {
        /// 1 to 65535.
        number: u16 = "number" where { "minimum": 1 },
        /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `TCP`, `TLS`…; empty means that the first bytes decide.
        protocol: String = "protocol",
        /// What `WorkloadEntry.ports` refers to.
        name: String = "name" where { "minLength": 1, "maxLength": 256 },
        /// Port of the endpoints; absent means `number`.
        target_port: Option<u16> = "targetPort" where { "minimum": 1 },
    }
    where { "required": ["number", "name"] }
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
        address: String = "address" where { "maxLength": 256, "x-kubernetes-validations": [rule(
            "!self.startsWith('unix://') || self.size() > 8 && (self.substring(7, 8) == '/' || self.substring(7, 8) == '@')",
            "UDS must be an absolute path or abstract socket"
        )] },
        /// By the service port's name; absent ones are the service's target port.
        ports: BTreeMap<String, u16> = "ports" where { "maxProperties": 128 },
        /// Labels, as a pod's.
        labels: Labels = "labels" where { "maxProperties": 256 },
        /// Network that it stands in.
        network: String = "network" where { "maxLength": 2048 },
        /// `region/zone/subzone`.
        locality: String = "locality" where { "maxLength": 2048 },
        /// Relative weight; absent means 1.
        weight: Option<u32> = "weight",
        /// Its identity.
        service_account: String = "serviceAccount" where { "maxLength": 253 },
    }
    where { "x-kubernetes-validations": [
        rule(HAS_ADDRESS, "Address is required"),
        rule(
            "!(has(self.address) && self.address.startsWith('unix://') && has(self.ports))",
            "UDS may not include ports"
        )
    ] }
}

/// What a workload that registers itself is made after: an entry whose address is still to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadTemplate(pub WorkloadEntry);

impl Read for WorkloadTemplate {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        WorkloadEntry::read(node, reader).map(Self)
    }
}

impl Schema for WorkloadTemplate {
    fn schema() -> serde_json::Value {
        let mut schema = WorkloadEntry::schema();
        if let Some(rules) = schema["x-kubernetes-validations"].as_array_mut() {
            rules.retain(|rule| rule["rule"] != HAS_ADDRESS);
        }
        schema
    }
}

object! {
    /// A template of workload entries that register themselves.
    pub struct WorkloadGroup {
        /// Labels and annotations of each.
        metadata: Option<WorkloadGroupMetadata> = "metadata",
        /// The rest of each.
        template: Option<WorkloadTemplate> = "template",
        /// How health is looked after.
        probe: Option<Unserved> = "probe",
    }
    where { "required": ["template"] }
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
