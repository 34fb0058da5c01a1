//! What an object must satisfy beyond its types, as Istio's own validation asks.

use std::net::IpAddr;

use mesh_types::Protocol;

use crate::api::{
    AuthorizationPolicy, AuthorizationPolicyAction, CaptureMode, ClientTls, Destination, DestinationRule, Gateway,
    HttpRoute, LoadBalancer, ServerTls, ServerTlsMode, ServiceEntry, Sidecar, StringMatch, TlsVersion, TrafficPolicy,
    VirtualService,
};
use crate::diagnostic::{Code, Severity};
use crate::kind::Kind;
use crate::node::{Node, Position, Value};
use crate::object::AnyObject;
use crate::path::{FieldPath, Step};
use crate::read::Problem;

/// Keys of conditions that are understood, beside `request.headers[…]`.
const CONDITIONS: &[&str] = &[
    "source.principal",
    "source.namespace",
    "source.ip",
    "remote.ip",
    "destination.ip",
    "destination.port",
    "connection.sni",
];

/// What is wrong with an object; positions are found in its document.
pub(crate) fn check(object: &AnyObject, document: &Node) -> Vec<Problem> {
    let mut checker = Checker { document, problems: Vec::new() };
    match object {
        AnyObject::VirtualService(object) => checker.virtual_service(&object.spec),
        AnyObject::DestinationRule(object) => checker.destination_rule(&object.spec),
        AnyObject::AuthorizationPolicy(object) => checker.authorization_policy(&object.spec),
        AnyObject::ServiceEntry(object) => checker.service_entry(&object.spec),
        AnyObject::Sidecar(object) => checker.sidecar(&object.spec),
        AnyObject::Gateway(object) => checker.gateway(&object.spec),
        AnyObject::EnvoyFilter(_)
        | AnyObject::ProxyConfig(_)
        | AnyObject::RequestAuthentication(_)
        | AnyObject::Telemetry(_)
        | AnyObject::WasmPlugin(_)
        | AnyObject::TrafficExtension(_) => checker.unserved_kind(object.kind()),
        _ => {}
    }
    checker.problems
}

struct Checker<'a> {
    document: &'a Node,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn virtual_service(&mut self, spec: &VirtualService) {
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

    fn networks(&mut self, texts: &[String], path: &FieldPath) {
        texts.iter().enumerate().for_each(|(index, text)| self.network(text, &path.index(index)));
    }

    fn network(&mut self, text: &str, path: &FieldPath) {
        if text.parse::<IpAddr>().is_err() && text.parse::<ipnet::IpNet>().is_err() {
            self.error(
                Code::Invalid,
                path,
                &format!("{text:?} is neither an address nor a network such as 10.0.0.0/8"),
            );
        }
    }

    fn gateway(&mut self, spec: &Gateway) {
        let path = FieldPath::default().field("spec");
        for (index, server) in spec.servers.iter().enumerate() {
            let path = path.field("servers").index(index);
            let Some(port) = &server.port else {
                self.error(Code::Missing, &path.field("port"), "must be set");
                continue;
            };
            if port.number == 0 {
                self.error(Code::Missing, &path.field("port").field("number"), "must be set");
            }
            let protocol = Protocol::parse(&port.protocol);
            if protocol.is_none() {
                let message = format!("{:?} is no protocol of a gateway", port.protocol);
                self.error(Code::Invalid, &path.field("port").field("protocol"), &message);
            }
            if server.hosts.is_empty() {
                self.error(Code::Missing, &path.field("hosts"), "must be set");
            }
            if !server.bind.is_empty() {
                self.unserved(&path.field("bind"));
            }
            match &server.tls {
                Some(tls) => self.server_tls(tls, &path.field("tls")),
                None if protocol.is_some_and(Protocol::is_tls) => {
                    self.error(Code::Missing, &path.field("tls"), "must be set for HTTPS and TLS");
                }
                None => {}
            }
        }
    }

    fn server_tls(&mut self, tls: &ServerTls, path: &FieldPath) {
        let named = !tls.credential_name.is_empty() || !tls.credential_names.is_empty();
        let terminates =
            matches!(tls.mode, ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
        if terminates && !named && (tls.server_certificate.is_empty() || tls.private_key.is_empty()) {
            let message = "must be set, or serverCertificate and privateKey";
            self.error(Code::Missing, &path.field("credentialName"), message);
        }
        let mutual = matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
        if mutual && !named && tls.ca_certificates.is_empty() {
            self.error(Code::Missing, &path.field("caCertificates"), "must be set");
        }
        let unserved = [
            ("mode", tls.mode == ServerTlsMode::AutoPassthrough),
            ("caCrl", !tls.ca_crl.is_empty()),
            ("caCertCredentialName", !tls.ca_cert_credential_name.is_empty()),
            ("verifyCertificateSpki", !tls.verify_certificate_spki.is_empty()),
            ("verifyCertificateHash", !tls.verify_certificate_hash.is_empty()),
            ("cipherSuites", !tls.cipher_suites.is_empty()),
            ("tlsCertificates", !tls.tls_certificates.is_empty()),
            ("insecureSkipVerify", tls.insecure_skip_verify == Some(true)),
        ];
        unserved.iter().filter(|(_, set)| *set).for_each(|(field, _)| self.unserved(&path.field(field)));
        for (field, version) in
            [("minProtocolVersion", tls.min_protocol_version), ("maxProtocolVersion", tls.max_protocol_version)]
        {
            if matches!(version, TlsVersion::V1_0 | TlsVersion::V1_1) {
                self.error(
                    Code::Unsupported,
                    &path.field(field),
                    "is older than TLS 1.2, which is the least that is spoken",
                );
            }
        }
        if tls.min_protocol_version == TlsVersion::V1_3 && tls.max_protocol_version == TlsVersion::V1_2 {
            self.error(Code::Invalid, &path.field("minProtocolVersion"), "is above maxProtocolVersion");
        }
    }

    /// What this version does not do is refused by name, so that nobody relies on it.
    fn unserved(&mut self, path: &FieldPath) {
        self.error(Code::Unsupported, path, "is not supported by this version");
    }

    /// A kind that this version does not serve at all.
    fn unserved_kind(&mut self, kind: Kind) {
        let message = format!("{kind} is not supported by this version: it would do nothing");
        self.error(Code::Unsupported, &FieldPath::default().field("kind"), &message);
    }

    fn destination_rule(&mut self, spec: &DestinationRule) {
        let path = FieldPath::default().field("spec");
        if spec.workload_selector.is_some() {
            self.unserved(&path.field("workloadSelector"));
        }
        self.traffic_policy(spec.traffic_policy.as_ref(), &path.field("trafficPolicy"));
        for (index, subset) in spec.subsets.iter().enumerate() {
            let path = path.field("subsets").index(index);
            if subset.name.is_empty() {
                self.error(Code::Missing, &path.field("name"), "must be set");
            }
            self.traffic_policy(subset.traffic_policy.as_ref(), &path.field("trafficPolicy"));
        }
    }

    fn traffic_policy(&mut self, policy: Option<&TrafficPolicy>, path: &FieldPath) {
        let Some(policy) = policy else { return };
        self.load_balancer(policy.load_balancer.as_ref(), &path.field("loadBalancer"));
        self.client_tls(policy.tls.as_ref(), &path.field("tls"));
        for (index, port) in policy.port_level_settings.iter().enumerate() {
            let path = path.field("portLevelSettings").index(index);
            self.load_balancer(port.load_balancer.as_ref(), &path.field("loadBalancer"));
            self.client_tls(port.tls.as_ref(), &path.field("tls"));
        }
        let tcp = policy.connection_pool.as_ref().and_then(|pool| pool.tcp.as_ref());
        if tcp.is_some_and(|tcp| tcp.max_connection_duration.is_some()) {
            self.unserved(&path.field("connectionPool").field("tcp").field("maxConnectionDuration"));
        }
    }

    fn load_balancer(&mut self, balancer: Option<&LoadBalancer>, path: &FieldPath) {
        let Some(balancer) = balancer else { return };
        // `enabled: false` asks for what is done anyway.
        let locality = balancer.locality_lb_setting.as_ref();
        if locality.is_some_and(|setting| setting.enabled != Some(false)) {
            self.unserved(&path.field("localityLbSetting"));
        }
        if balancer.warmup_duration_secs.is_some() {
            self.unserved(&path.field("warmupDurationSecs"));
        }
        if balancer.warmup.is_some() {
            self.unserved(&path.field("warmup"));
        }
    }

    fn client_tls(&mut self, tls: Option<&ClientTls>, path: &FieldPath) {
        let Some(tls) = tls else { return };
        if !tls.credential_name.is_empty() {
            self.unserved(&path.field("credentialName"));
        }
        if !tls.ca_crl.is_empty() {
            self.unserved(&path.field("caCrl"));
        }
    }

    fn authorization_policy(&mut self, spec: &AuthorizationPolicy) {
        let path = FieldPath::default().field("spec");
        if matches!(spec.action, AuthorizationPolicyAction::Custom | AuthorizationPolicyAction::Audit) {
            self.unserved(&path.field("action"));
        }
        if spec.target_ref.is_some() {
            self.unserved(&path.field("targetRef"));
        }
        if !spec.target_refs.is_empty() {
            self.unserved(&path.field("targetRefs"));
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            let path = path.field("rules").index(index);
            for (index, from) in rule.from.iter().enumerate() {
                let source = from.source.as_ref();
                let path = path.field("from").index(index).field("source");
                if source.is_some_and(|source| !source.request_principals.is_empty()) {
                    self.unserved(&path.field("requestPrincipals"));
                }
                if source.is_some_and(|source| !source.not_request_principals.is_empty()) {
                    self.unserved(&path.field("notRequestPrincipals"));
                }
            }
            for (index, condition) in rule.when.iter().enumerate() {
                let key = condition.key.as_str();
                if !CONDITIONS.contains(&key) && !key.starts_with("request.headers[") {
                    self.unserved(&path.field("when").index(index).field("key"));
                }
            }
        }
    }

    fn sidecar(&mut self, spec: &Sidecar) {
        let path = FieldPath::default().field("spec");
        if !spec.ingress.is_empty() {
            self.unserved(&path.field("ingress"));
        }
        if spec.inbound_connection_pool.is_some() {
            self.unserved(&path.field("inboundConnectionPool"));
        }
        let policy = spec.outbound_traffic_policy.as_ref();
        if policy.is_some_and(|policy| policy.egress_proxy.is_some()) {
            self.unserved(&path.field("outboundTrafficPolicy").field("egressProxy"));
        }
        for (index, egress) in spec.egress.iter().enumerate() {
            let path = path.field("egress").index(index);
            if egress.port.is_some() {
                self.unserved(&path.field("port"));
            }
            if !egress.bind.is_empty() {
                self.unserved(&path.field("bind"));
            }
            if egress.capture_mode == CaptureMode::None {
                self.unserved(&path.field("captureMode"));
            }
            if egress.hosts.is_empty() {
                self.error(Code::Missing, &path.field("hosts"), "must be set");
            }
            for (index, host) in egress.hosts.iter().enumerate() {
                if !host.split_once('/').is_some_and(|(namespace, host)| !namespace.is_empty() && !host.is_empty()) {
                    let message = "must be namespace/host, such as ./* or istio-system/*";
                    self.error(Code::Invalid, &path.field("hosts").index(index), message);
                }
            }
        }
    }

    fn service_entry(&mut self, spec: &ServiceEntry) {
        let path = FieldPath::default().field("spec");
        for (index, address) in spec.addresses.iter().enumerate() {
            if address.parse::<IpAddr>().is_err() {
                let message = "is no IP address; ranges are not supported by this version";
                self.error(Code::Unsupported, &path.field("addresses").index(index), message);
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

    fn error(&mut self, code: Code, path: &FieldPath, message: &str) {
        let at = find(self.document, &path.0);
        self.problems.push(Problem {
            severity: Severity::Error,
            code,
            path: path.clone(),
            at,
            message: message.to_owned(),
        });
    }
}

/// Where a field stands; where its nearest present parent stands if it is absent.
fn find(node: &Node, steps: &[Step]) -> Position {
    let Some((step, rest)) = steps.split_first() else { return node.at };
    let next = match (step, &node.value) {
        (Step::Field(name), _) => node.get(name).map(|entry| &entry.value),
        (Step::Index(index), Value::Sequence(items)) => items.get(*index),
        _ => None,
    };
    next.map_or(node.at, |next| find(next, rest))
}

#[cfg(test)]
mod tests {
    fn said(kind: &str, spec: &str) -> Vec<String> {
        let group = if kind == "AuthorizationPolicy" { "security" } else { "networking" };
        let text = format!("apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
        let loaded = crate::load(&"f.yaml".into(), &text);
        loaded.diagnostics.iter().map(|one| format!("{}: {}", one.path, one.message)).collect()
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        let unserved = "is not supported by this version";
        let cases = [
            ("AuthorizationPolicy", "{action: CUSTOM}", "spec.action"),
            (
                "AuthorizationPolicy",
                "{rules: [{when: [{key: 'request.auth.claims[a]', values: [b]}]}]}",
                "spec.rules[0].when[0].key",
            ),
            (
                "DestinationRule",
                "{host: a, trafficPolicy: {loadBalancer: {localityLbSetting: {enabled: true}}}}",
                "spec.trafficPolicy.loadBalancer.localityLbSetting",
            ),
            (
                "Gateway",
                "{servers: [{port: {number: 443, protocol: TLS}, hosts: ['*'], tls: {mode: AUTO_PASSTHROUGH}}]}",
                "spec.servers[0].tls.mode",
            ),
            ("Sidecar", "{egress: [{port: {number: 80, protocol: HTTP}, hosts: ['*/*']}]}", "spec.egress[0].port"),
            ("Sidecar", "{ingress: [{port: {number: 80, protocol: HTTP}}]}", "spec.ingress"),
        ];
        for (kind, spec, path) in cases {
            assert_eq!(said(kind, spec), [format!("{path}: {unserved}")], "{kind} {spec}");
        }
        assert!(said("Sidecar", "{egress: [{hosts: ['*/*']}]}").is_empty());
        let host = said("Sidecar", "{egress: [{hosts: ['reviews']}]}");
        assert_eq!(host, ["spec.egress[0].hosts[0]: must be namespace/host, such as ./* or istio-system/*"]);
        assert!(said("DestinationRule", "{host: a, trafficPolicy: {loadBalancer: {simple: RANDOM}}}").is_empty());
    }

    #[test]
    fn rules_must_say_what_is_done() {
        let none = said("VirtualService", "{hosts: [a], http: [{match: [{uri: {prefix: /}}]}]}");
        assert_eq!(none, ["spec.http[0]: one of route, redirect, directResponse and delegate must be set"]);
        let regex = said(
            "VirtualService",
            "{hosts: [a], http: [{match: [{uri: {regex: '['}}], directResponse: {status: 200}}]}",
        );
        assert!(regex[0].starts_with("spec.http[0].match[0].uri: \"[\" is no regular expression"), "{regex:?}");
        let tls = said(
            "VirtualService",
            "{hosts: ['*.example.com'], tls: [{match: [{sniHosts: [a.example.com, other.org], destinationSubnets: [here]}], route: [{destination: {host: a}}]}]}",
        );
        assert_eq!(
            tls,
            [
                "spec.tls[0].match[0].sniHosts[1]: \"other.org\" is not within spec.hosts",
                "spec.tls[0].match[0].destinationSubnets[0]: \"here\" is neither an address nor a network such as 10.0.0.0/8",
            ]
        );
        let gateway = said(
            "Gateway",
            "{servers: [{port: {number: 443, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, minProtocolVersion: TLSV1_0}}, {port: {number: 80, protocol: HTP}, hosts: [a]}]}",
        );
        assert_eq!(
            gateway,
            [
                "spec.servers[0].tls.credentialName: must be set, or serverCertificate and privateKey",
                "spec.servers[0].tls.minProtocolVersion: is older than TLS 1.2, which is the least that is spoken",
                "spec.servers[1].port.protocol: \"HTP\" is no protocol of a gateway",
            ]
        );
    }
}
