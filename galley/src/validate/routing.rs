//! VirtualServices.

use super::Checker;
use crate::api::{Destination, HttpRoute, StringMatch, VirtualService};
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn virtual_service(&mut self, spec: &VirtualService) {
        let path = FieldPath::default().field("spec");
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

    fn http_route(&mut self, route: &HttpRoute, path: &FieldPath) {
        let actions = [
            !route.route.is_empty(),
            route.redirect.is_some(),
            route.direct_response.is_some(),
            route.delegate.is_some(),
        ];
        match actions.iter().filter(|set| **set).count() {
            0 => self.error(Code::Missing, path, "one of route, redirect, directResponse and delegate must be set"),
            1 => {}
            _ => self.error(Code::Invalid, path, "only one of route, redirect, directResponse and delegate may be set"),
        }
        let destinations = route.route.iter().map(|to| (to.destination.as_ref(), to.weight));
        self.destinations(destinations, &path.field("route"));
        for (index, one) in route.matches.iter().enumerate() {
            let path = path.field("match").index(index);
            self.pattern(one.uri.as_ref(), &path.field("uri"));
            for (name, test) in &one.headers {
                self.pattern(Some(test), &path.field("headers").key(name));
            }
        }
    }

    fn destinations<'a>(
        &mut self,
        destinations: impl ExactSizeIterator<Item = (Option<&'a Destination>, Option<u32>)>,
        path: &FieldPath,
    ) {
        let (several, mut total) = (destinations.len() > 1, 0);
        for (index, (to, weight)) in destinations.enumerate() {
            if to.is_none_or(|destination| destination.host.is_empty()) {
                self.error(Code::Missing, &path.index(index).field("destination").field("host"), "must be set");
            }
            total += u64::from(weight.unwrap_or_default());
        }
        if several && total == 0 {
            self.error(Code::Invalid, path, "the weights of several destinations must not all be 0");
        }
    }

    fn pattern(&mut self, test: Option<&StringMatch>, path: &FieldPath) {
        if let Some(StringMatch::Regex(pattern)) = test
            && let Err(error) = regex::Regex::new(pattern)
        {
            let text = error.to_string();
            let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
            self.error(Code::Invalid, path, &format!("{pattern:?} is no regular expression: {last}"));
        }
    }
}
