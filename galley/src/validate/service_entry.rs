//! ServiceEntries and WorkloadEntries.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use mesh_types::Protocol;

use super::Checker;
use super::host::LONGEST_LABEL;
use crate::api::{Resolution, ServiceEntry, WorkloadEntry, WorkloadGroup};
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn service_entry(&mut self, spec: &ServiceEntry) {
        let path = FieldPath::default().field("spec");
        let resolved = matches!(spec.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
        self.hosts(spec, resolved, &path.field("hosts"));
        self.entry_ports(spec, &path.field("ports"));
        for (index, address) in spec.addresses.iter().enumerate() {
            if address.parse::<IpAddr>().is_err() && address.parse::<IpNet>().is_err() {
                let message = "is neither an IP address nor a range of them, such as 192.0.2.0/24";
                self.error(Code::Invalid, &path.field("addresses").index(index), message);
            }
        }
        let endpoints = path.field("endpoints");
        if spec.resolution == Resolution::DynamicDns {
            self.unserved_word(&path.field("resolution"), "DYNAMIC_DNS");
        }
        if !spec.endpoints.is_empty() && spec.resolution == Resolution::None {
            self.error(
                Code::Invalid,
                &endpoints,
                "mean nothing with resolution NONE, which goes where the client goes",
            );
        }
        if !spec.endpoints.is_empty() && spec.workload_selector.is_some() {
            self.error(Code::Invalid, &endpoints, "cannot be set together with workloadSelector; keep one");
        }
        if spec.resolution == Resolution::DnsRoundRobin && spec.endpoints.len() > 1 {
            self.error(Code::Invalid, &endpoints, "must be one at most with resolution DNS_ROUND_ROBIN");
        }
        for (index, endpoint) in spec.endpoints.iter().enumerate() {
            let path = endpoints.index(index);
            self.workload(endpoint, &path);
            if spec.resolution == Resolution::Static && is_name(&endpoint.address) {
                let message = "is no IP address, which resolution STATIC asks for; DNS resolves names";
                self.error(Code::Invalid, &path.field("address"), message);
            }
            for name in endpoint.ports.keys().filter(|name| spec.ports.iter().all(|port| port.name != **name)) {
                let message = "is no name of the entry's own ports, so that nobody would call it";
                self.error(Code::Invalid, &path.field("ports").key(name), message);
            }
        }
    }

    fn hosts(&mut self, spec: &ServiceEntry, resolved: bool, path: &FieldPath) {
        if spec.hosts.is_empty() {
            self.error(Code::Missing, path, "must be set");
        }
        let mut seen = BTreeSet::new();
        for (index, host) in spec.hosts.iter().enumerate() {
            let path = path.index(index);
            self.host_name(host, &path);
            if !seen.insert(host) {
                self.error(Code::Invalid, &path, "is there twice");
            }
            if resolved && host.contains('*') && spec.endpoints.is_empty() {
                self.error(Code::Invalid, &path, "has a wildcard, which cannot be resolved; give endpoints");
            }
        }
    }

    fn entry_ports(&mut self, spec: &ServiceEntry, path: &FieldPath) {
        let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
        for (index, port) in spec.ports.iter().enumerate() {
            let path = path.index(index);
            if !numbers.insert(port.number) {
                self.error(Code::Invalid, &path.field("number"), "is another port's number too");
            }
            if !port.name.is_empty() && !names.insert(&port.name) {
                self.error(Code::Invalid, &path.field("name"), "is another port's name too");
            }
            if !port.name.is_empty() {
                self.port_name(&port.name, &path.field("name"));
            }
            if !port.protocol.is_empty() && Protocol::parse(&port.protocol).is_none() {
                let message = format!("{:?} is no protocol", port.protocol);
                self.error(Code::Invalid, &path.field("protocol"), &message);
            }
        }
    }

    pub(super) fn workload_entry(&mut self, spec: &WorkloadEntry) {
        self.workload(spec, &FieldPath::default().field("spec"));
    }

    fn workload(&mut self, spec: &WorkloadEntry, path: &FieldPath) {
        let address = path.field("address");
        if !spec.network.is_empty() {
            self.unserved(&path.field("network"));
        } else if spec.address.is_empty() {
            self.error(Code::Missing, &address, "must be set");
        } else if spec.address.starts_with("unix:") {
            self.error(Code::Unsupported, &address, "is a socket of this machine, which this version does not call");
        }
        for name in spec.ports.keys() {
            self.port_name(name, &path.field("ports").key(name));
        }
    }

    fn port_name(&mut self, name: &str, path: &FieldPath) {
        if !is_label(name) {
            let message = "is no name of a port: lower-case letters, digits and `-`, of 63 characters at most";
            self.error(Code::Invalid, path, message);
        }
    }

    pub(super) fn workload_group(&mut self, spec: &WorkloadGroup) {
        if spec.template.is_none() {
            self.error(Code::Missing, &FieldPath::default().field("spec").field("template"), "must be set");
        }
    }
}

fn is_name(address: &str) -> bool {
    !address.is_empty() && !address.starts_with("unix:") && address.parse::<IpAddr>().is_err()
}

/// A label as RFC 1123 has it, which is what a port of Kubernetes is called too.
fn is_label(name: &str) -> bool {
    let inner = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    inner && (1..=LONGEST_LABEL).contains(&name.len()) && !name.starts_with('-') && !name.ends_with('-')
}
