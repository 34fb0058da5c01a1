//! Policies of who may call whom, and over what.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Checker;
use crate::api::{
    AuthorizationPolicy, AuthorizationPolicyAction, Condition, Operation, PeerAuthentication, Rule, Source,
};
use crate::diagnostic::Code;
use crate::path::FieldPath;

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

impl Checker<'_> {
    pub(super) fn peer_authentication(&mut self, spec: &PeerAuthentication) {
        let path = FieldPath::default().field("spec").field("portLevelMtls");
        let selects = spec.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty());
        if !spec.port_level_mtls.is_empty() && !selects {
            self.error(Code::Invalid, &path, "needs spec.selector.matchLabels: ports are those of chosen workloads");
        }
        if spec.port_level_mtls.contains_key(&0) {
            self.error(Code::Invalid, &path.key("0"), "is no port");
        }
    }

    pub(super) fn authorization_policy(&mut self, spec: &AuthorizationPolicy) {
        let path = FieldPath::default().field("spec");
        if spec.action == AuthorizationPolicyAction::Custom {
            self.unserved_word(&path.field("action"), "CUSTOM");
        }
        if spec.target_ref.is_some() {
            self.unserved(&path.field("targetRef"));
        }
        if !spec.target_refs.is_empty() {
            self.unserved(&path.field("targetRefs"));
        }
        if spec.provider.is_some() && spec.action != AuthorizationPolicyAction::Custom {
            self.error(Code::Invalid, &path.field("provider"), "goes with the action CUSTOM alone");
        }
        let without_rules = match spec.action {
            AuthorizationPolicyAction::Deny => {
                "must be set: DENY without rules refuses nothing; `rules: [{}]` refuses everything"
            }
            AuthorizationPolicyAction::Audit => {
                "must be set: AUDIT without rules notes nothing; `rules: [{}]` notes everything"
            }
            _ => "",
        };
        if spec.rules.is_empty() && !without_rules.is_empty() {
            self.error(Code::Missing, &path.field("rules"), without_rules);
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            self.rule(rule, &path.field("rules").index(index));
        }
    }

    fn rule(&mut self, rule: &Rule, path: &FieldPath) {
        for (index, from) in rule.from.iter().enumerate() {
            let path = path.field("from").index(index).field("source");
            match &from.source {
                Some(source) => self.source(source, &path),
                None => self.error(Code::Missing, &path, "must be set"),
            }
        }
        for (index, to) in rule.to.iter().enumerate() {
            let path = path.field("to").index(index).field("operation");
            match &to.operation {
                Some(operation) => self.operation(operation, &path),
                None => self.error(Code::Missing, &path, "must be set"),
            }
        }
        for (index, condition) in rule.when.iter().enumerate() {
            self.condition(condition, &path.field("when").index(index));
        }
    }

    fn source(&mut self, source: &Source, path: &FieldPath) {
        let unserved = [
            ("requestPrincipals", &source.request_principals),
            ("notRequestPrincipals", &source.not_request_principals),
        ];
        unserved.iter().filter(|(_, list)| !list.is_empty()).for_each(|(field, _)| self.unserved(&path.field(field)));
        let networks = [
            ("ipBlocks", &source.ip_blocks),
            ("notIpBlocks", &source.not_ip_blocks),
            ("remoteIpBlocks", &source.remote_ip_blocks),
            ("notRemoteIpBlocks", &source.not_remote_ip_blocks),
        ];
        networks.iter().for_each(|(field, list)| self.networks(list, &path.field(field)));
        let accounts =
            [("serviceAccounts", &source.service_accounts), ("notServiceAccounts", &source.not_service_accounts)];
        for (field, list) in accounts {
            for (index, account) in list.iter().enumerate() {
                if account.contains('*') || account.split('/').count() > 2 || account.split('/').any(str::is_empty) {
                    let message =
                        format!("{account:?} is neither an account nor namespace/account; there are no wildcards");
                    self.error(Code::Invalid, &path.field(field).index(index), &message);
                }
            }
            let others = [&source.principals, &source.not_principals, &source.namespaces, &source.not_namespaces];
            if !list.is_empty() && others.iter().any(|list| !list.is_empty()) {
                self.error(Code::Invalid, &path.field(field), "cannot stand beside principals or namespaces");
            }
        }
        if *source == Source::default() {
            self.error(Code::Missing, path, "says nothing: one of its fields must be set");
        }
    }

    fn operation(&mut self, operation: &Operation, path: &FieldPath) {
        for (field, list) in [("ports", &operation.ports), ("notPorts", &operation.not_ports)] {
            self.ports(list, &path.field(field));
        }
        if *operation == Operation::default() {
            self.error(Code::Missing, path, "says nothing: one of its fields must be set");
        }
    }

    fn condition(&mut self, condition: &Condition, path: &FieldPath) {
        let key = condition.key.as_str();
        let field = key.strip_prefix("request.headers[").map(|name| name.strip_suffix(']').unwrap_or_default());
        if field.is_some_and(|name| name.is_empty() || name.contains(['[', ']'])) {
            self.error(Code::Invalid, &path.field("key"), "must be request.headers[name]");
        } else if field.is_none() && !CONDITIONS.contains(&key) {
            self.unserved(&path.field("key"));
        }
        if condition.values.is_empty() && condition.not_values.is_empty() {
            self.error(Code::Missing, &path.field("values"), "must be set, or notValues");
        }
        for (field, list) in [("values", &condition.values), ("notValues", &condition.not_values)] {
            match key {
                "source.ip" | "remote.ip" | "destination.ip" => self.networks(list, &path.field(field)),
                "destination.port" => self.ports(list, &path.field(field)),
                _ => {}
            }
        }
    }

    fn ports(&mut self, list: &[String], path: &FieldPath) {
        for (index, port) in list.iter().enumerate() {
            if port.parse::<std::num::NonZeroU16>().is_err() {
                self.error(Code::Invalid, &path.index(index), &format!("{port:?} is no port (1 to 65535)"));
            }
        }
    }

    /// Addresses and networks.
    pub(super) fn networks(&mut self, texts: &[String], path: &FieldPath) {
        texts.iter().enumerate().for_each(|(index, text)| self.network(text, &path.index(index)));
    }

    /// An address or a network.
    pub(super) fn network(&mut self, text: &str, path: &FieldPath) {
        if text.parse::<IpAddr>().is_err() && text.parse::<IpNet>().is_err() {
            let message = format!("{text:?} is neither an address nor a network such as 10.0.0.0/8");
            self.error(Code::Invalid, path, &message);
        }
    }
}
