//! VirtualServices.

use super::Checker;
use crate::api::{Destination, VirtualService};
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn virtual_service(&mut self, spec: &VirtualService) {
        let path = FieldPath::default().field("spec");
        if spec.hosts.is_empty() {
            self.delegate(spec, &path);
        }
        self.host_names(&spec.hosts, &path.field("hosts"));
        let is_in_mesh = spec.gateways.is_empty() || spec.gateways.iter().any(|name| name == "mesh");
        if let Some(index) = spec.hosts.iter().position(|host| host == "*").filter(|_| is_in_mesh) {
            let message = "\"*\" is only for gateways; without gateways, or with mesh among them, name hosts";
            self.error(Code::Invalid, &path.field("hosts").index(index), message);
        }
        for (index, route) in spec.http.iter().enumerate() {
            self.http_route(route, &path.field("http").index(index));
        }
        for (index, rule) in spec.tls.iter().enumerate() {
            let path = path.field("tls").index(index);
            if rule.matches.is_empty() {
                self.error(Code::Missing, &path.field("match"), "must be set");
            }
            for (index, one) in rule.matches.iter().enumerate() {
                let path = path.field("match").index(index);
                self.server_names(&one.sni_hosts, &spec.hosts, &path.field("sniHosts"));
                self.networks(&one.destination_subnets, &path.field("destinationSubnets"));
            }
            self.destinations(rule.route.iter().map(|to| (to.destination.as_ref(), to.weight)), &path.field("route"));
        }
        for (index, rule) in spec.tcp.iter().enumerate() {
            let path = path.field("tcp").index(index);
            for (index, one) in rule.matches.iter().enumerate() {
                let path = path.field("match").index(index);
                self.networks(&one.destination_subnets, &path.field("destinationSubnets"));
                if !one.source_subnet.is_empty() {
                    self.network(&one.source_subnet, &path.field("sourceSubnet"));
                }
            }
            self.destinations(rule.route.iter().map(|to| (to.destination.as_ref(), to.weight)), &path.field("route"));
        }
    }

    /// An object without hosts is there for others to refer to: it has rules of HTTP alone, which refer no further.
    fn delegate(&mut self, spec: &VirtualService, path: &FieldPath) {
        let unfit =
            [("gateways", !spec.gateways.is_empty()), ("tls", !spec.tls.is_empty()), ("tcp", !spec.tcp.is_empty())];
        for (field, _) in unfit.iter().filter(|(_, set)| *set) {
            self.error(Code::Invalid, &path.field(field), "must not be set without hosts, in a delegate");
        }
        if spec.http.is_empty() {
            self.error(Code::Missing, &path.field("hosts"), "must be set; a delegate, which has none, has http");
        }
        for (index, _) in spec.http.iter().enumerate().filter(|(_, rule)| rule.delegate.is_some()) {
            let path = path.field("http").index(index).field("delegate");
            self.error(Code::Invalid, &path, "must not be set without hosts: a delegate has no delegates");
        }
    }

    /// The server names of a rule must be among the hosts of its object.
    fn server_names(&mut self, names: &[String], hosts: &[String], path: &FieldPath) {
        if names.is_empty() {
            self.error(Code::Missing, path, "must be set");
        }
        for (index, name) in names.iter().enumerate() {
            let within =
                |host: &String| host == name || host.strip_prefix('*').is_some_and(|suffix| name.ends_with(suffix));
            if !hosts.iter().any(within) {
                self.error(Code::Invalid, &path.index(index), &format!("{name:?} is not within spec.hosts"));
            }
        }
    }

    pub(super) fn destinations<'a>(
        &mut self,
        destinations: impl ExactSizeIterator<Item = (Option<&'a Destination>, Option<u32>)>,
        path: &FieldPath,
    ) {
        let (several, mut total) = (destinations.len() > 1, 0);
        for (index, (to, weight)) in destinations.enumerate() {
            let path = path.index(index).field("destination").field("host");
            self.host_name(to.map_or("", |destination| &destination.host), &path);
            if to.is_none_or(|destination| destination.host.is_empty()) {
                self.error(Code::Missing, &path, "must be set");
            }
            total += u64::from(weight.unwrap_or_default());
        }
        if several && total == 0 {
            self.error(Code::Invalid, path, "the weights of several destinations must not all be 0");
        }
    }
}
