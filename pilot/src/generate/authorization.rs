//! AuthorizationPolicies as Envoy's RBAC, for connections and for requests.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::listener::v3::Filter;
use envoy_types::pb::envoy::config::rbac::v3 as rbac;
use envoy_types::pb::envoy::config::rbac::v3::permission::Rule;
use envoy_types::pb::envoy::config::rbac::v3::principal::Identifier;
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier};
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;
use envoy_types::pb::envoy::r#type::matcher::v3::{PathMatcher, StringMatcher, path_matcher};
use galley::api::{self, AuthorizationPolicyAction as Action};

use super::http::{filter, network};
use super::wire::{number, ordered_any, regex, wildcard};
use crate::ordered::RBAC;
use crate::proxy::{Proxy, selects};
use crate::world::World;

const HTTP: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
/// The trust domain that policies write for the mesh's own, whatever that is called.
const LOCAL: &str = "cluster.local";
const NETWORK: &str = "envoy.extensions.filters.network.rbac.v3.RBAC";

/// Istio's annotation of a policy whose effect is only to be noted.
const DRY_RUN: &str = "istio.io/dry-run";

/// The policies of a workload: AUDIT, which only marks, before DENY before ALLOW.
#[derive(Default)]
pub(super) struct Policies {
    enforced: Rules,
    /// Only noted.
    tried: Rules,
    trust_domains: Vec<String>,
}

#[derive(Default)]
struct Rules {
    audit: Vec<Named>,
    deny: Vec<Named>,
    allow: Option<Vec<Named>>,
}

/// A rule with its name and the namespace of its policy.
struct Named {
    name: String,
    namespace: String,
    rule: api::Rule,
}

impl Policies {
    /// Those of the root namespace and the workload's own that select it. CUSTOM policies, and those that name what is
    /// not served, take nothing away here: they are refused when they are read.
    pub(super) fn of(world: &World, proxy: &Proxy) -> Self {
        let mut found = Self { trust_domains: world.trust_domains().cloned().collect(), ..Self::default() };
        for object in world.objects.authorization_policies.values() {
            let own = &*object.meta.namespace;
            let here = own == world.root_namespace() || own == proxy.namespace();
            let selector = object.spec.selector.as_ref().map(|selector| &selector.match_labels);
            if !here || !selector.is_none_or(|labels| selects(labels, &proxy.labels)) {
                continue;
            }
            let rules = object.spec.rules.iter().enumerate().map(|(index, rule)| Named {
                name: format!("ns[{own}]-policy[{}]-rule[{index}]", object.meta.name),
                namespace: own.to_owned(),
                rule: rule.clone(),
            });
            let tried = object.meta.annotations.get(DRY_RUN).is_some_and(|word| word == "true");
            let place = if tried { &mut found.tried } else { &mut found.enforced };
            match object.spec.action {
                Action::Allow => place.allow.get_or_insert_default().extend(rules),
                Action::Deny => place.deny.extend(rules),
                Action::Audit => place.audit.extend(rules),
                Action::Custom => {}
            }
        }
        found
    }

    /// Filters for requests.
    pub(super) fn http(&self) -> Vec<HttpFilter> {
        let enforced = self.rules(&self.enforced, true).into_iter();
        let enforced = enforced.map(|rules| HttpRbac { rules: Some(rules), ..Default::default() });
        let tried = self.rules(&self.tried, true).into_iter();
        let tried = tried.map(|rules| HttpRbac { shadow_rules: Some(rules), ..Default::default() });
        let message = |message| filter("envoy.filters.http.rbac", ordered_any(HTTP, &message, &RBAC));
        tried.chain(enforced).map(message).collect()
    }

    /// Filters for connections. What asks for a request: an ALLOW rule cannot be met by bytes, a DENY or AUDIT rule is met by
    /// what of it concerns connections (Istio's rule: fail closed).
    pub(super) fn network(&self) -> Vec<Filter> {
        let empty = || NetworkRbac { stat_prefix: "tcp.".to_owned(), ..Default::default() };
        let enforced = self.rules(&self.enforced, false).into_iter();
        let enforced = enforced.map(|rules| NetworkRbac { rules: Some(rules), ..empty() });
        let tried = self.rules(&self.tried, false).into_iter();
        let tried = tried.map(|rules| NetworkRbac { shadow_rules: Some(rules), ..empty() });
        let message = |message| network("envoy.filters.network.rbac", ordered_any(NETWORK, &message, &RBAC));
        tried.chain(enforced).map(message).collect()
    }

    fn rules(&self, rules: &Rules, http: bool) -> Vec<rbac::Rbac> {
        use rbac::rbac::Action::{Allow, Deny, Log};
        let audit = (!rules.audit.is_empty()).then(|| self.filter(Log, &rules.audit, http));
        let deny = (!rules.deny.is_empty()).then(|| self.filter(Deny, &rules.deny, http));
        let allow = rules.allow.as_ref().map(|allow| self.filter(Allow, allow, http));
        audit.into_iter().chain(deny).chain(allow).collect()
    }

    fn filter(&self, action: rbac::rbac::Action, rules: &[Named], http: bool) -> rbac::Rbac {
        let wide = action != rbac::rbac::Action::Allow;
        let policies = rules.iter().filter_map(|one| Some((one.name.clone(), self.policy(one, http, wide)?)));
        rbac::Rbac { action: action as i32, policies: policies.collect::<HashMap<_, _>>(), ..Default::default() }
    }

    fn policy(&self, Named { rule, namespace, .. }: &Named, http: bool, wide: bool) -> Option<rbac::Policy> {
        let mut maker = Maker { http, wide, namespace, trust_domains: &self.trust_domains, impossible: false };
        let conditions: Vec<rbac::Principal> =
            rule.when.iter().filter_map(|one| maker.principal_condition(one)).collect();
        let targets: Vec<rbac::Permission> =
            rule.when.iter().filter_map(|one| maker.permission_condition(one)).collect();
        let principals = if rule.from.is_empty() {
            vec![all_ids(conditions)]
        } else {
            let from = rule.from.iter().filter_map(|from| from.source.as_ref());
            from.map(|source| all_ids(maker.source(source).into_iter().chain(conditions.clone()).collect())).collect()
        };
        let permissions = if rule.to.is_empty() {
            vec![all_rules(targets)]
        } else {
            let to = rule.to.iter().filter_map(|to| to.operation.as_ref());
            to.map(|operation| all_rules(maker.operation(operation).into_iter().chain(targets.clone()).collect()))
                .collect()
        };
        (!maker.impossible).then_some(rbac::Policy { permissions, principals, ..Default::default() })
    }
}

/// Makes conditions, and notes when one cannot be met.
struct Maker<'a> {
    http: bool,
    /// For DENY and AUDIT what cannot be asked is left out; for ALLOW it cannot be met.
    wide: bool,
    /// The policy's.
    namespace: &'a str,
    /// The mesh's own, and its aliases.
    trust_domains: &'a [String],
    impossible: bool,
}

impl Maker<'_> {
    /// A condition on a request: without requests an ALLOW rule cannot be met, and others do without it.
    fn needs_request(&mut self) -> bool {
        if !self.http && !self.wide {
            self.impossible = true;
        }
        self.http
    }

    fn source(&mut self, source: &api::Source) -> Vec<rbac::Principal> {
        let mut all = Vec::new();
        let principals = (self.principals(&source.principals), self.principals(&source.not_principals));
        both_ids(&mut all, &principals.0, &principals.1, |name| authenticated(principal_name(name)));
        both_ids(&mut all, &source.namespaces, &source.not_namespaces, |namespace| {
            authenticated(pattern(&format!(".*/ns/{}/.*", glob(namespace))))
        });
        both_ids(&mut all, &source.service_accounts, &source.not_service_accounts, |account| {
            let (namespace, name) = account.split_once('/').unwrap_or((self.namespace, account));
            let (namespace, name) = (regex_escape(namespace), regex_escape(name));
            authenticated(pattern(&format!("spiffe://.*/ns/{namespace}/sa/{name}")))
        });
        both_ids(&mut all, &source.trust_domains, &source.not_trust_domains, |domain| {
            let domain =
                if domain == LOCAL { self.trust_domains.first().map_or(LOCAL, String::as_str) } else { domain };
            authenticated(pattern(&format!("spiffe://{}/.*", glob(domain))))
        });
        both_ids(&mut all, &source.ip_blocks, &source.not_ip_blocks, |block| {
            identifier(Identifier::DirectRemoteIp(range(block)))
        });
        both_ids(&mut all, &source.remote_ip_blocks, &source.not_remote_ip_blocks, |block| {
            identifier(Identifier::RemoteIp(range(block)))
        });
        if !source.request_principals.is_empty() || !source.not_request_principals.is_empty() {
            // Without request authentication nobody has such a principal.
            self.impossible |= !source.request_principals.is_empty();
        }
        all
    }

    /// A principal of the mesh is meant under each of its trust domains; `cluster.local` is any mesh's own.
    fn principals(&self, names: &[String]) -> Vec<String> {
        let mut all = Vec::new();
        for name in names {
            match name.split_once('/') {
                Some((domain, rest)) if domain == LOCAL || self.trust_domains.iter().any(|one| one == domain) => {
                    all.extend(self.trust_domains.iter().map(|domain| format!("{domain}/{rest}")));
                }
                _ => all.push(name.clone()),
            }
        }
        all
    }

    fn operation(&mut self, operation: &api::Operation) -> Vec<rbac::Permission> {
        let mut all = Vec::new();
        both_rules(&mut all, &operation.ports, &operation.not_ports, |port| {
            permission(Rule::DestinationPort(port.parse().unwrap_or_default()))
        });
        let of_request = [
            &operation.hosts,
            &operation.not_hosts,
            &operation.methods,
            &operation.not_methods,
            &operation.paths,
            &operation.not_paths,
        ];
        if of_request.iter().all(|list| list.is_empty()) || !self.needs_request() {
            return all;
        }
        both_rules(&mut all, &operation.hosts, &operation.not_hosts, |host| {
            header_rule(":authority", ignoring_case(wildcard(host)))
        });
        both_rules(&mut all, &operation.methods, &operation.not_methods, |method| {
            header_rule(":method", wildcard(method))
        });
        both_rules(&mut all, &operation.paths, &operation.not_paths, |path| permission(Rule::UrlPath(url_path(path))));
        all
    }

    fn principal_condition(&mut self, one: &api::Condition) -> Option<rbac::Principal> {
        let key = one.key.as_str();
        if key == "source.principal" {
            let mut all = Vec::new();
            let (yes, no) = (self.principals(&one.values), self.principals(&one.not_values));
            both_ids(&mut all, &yes, &no, |name| authenticated(principal_name(name)));
            return Some(all_ids(all));
        }
        let make: Box<dyn Fn(&str) -> rbac::Principal> = match key {
            "source.namespace" => {
                Box::new(|namespace| authenticated(pattern(&format!(".*/ns/{}/.*", glob(namespace)))))
            }
            "source.ip" => Box::new(|block| identifier(Identifier::DirectRemoteIp(range(block)))),
            "remote.ip" => Box::new(|block| identifier(Identifier::RemoteIp(range(block)))),
            _ => {
                let name = key.strip_prefix("request.headers[")?.strip_suffix(']')?.to_ascii_lowercase();
                if !self.needs_request() {
                    return None;
                }
                Box::new(move |value| identifier(Identifier::Header(header(&name, wildcard(value)))))
            }
        };
        let mut all = Vec::new();
        both_ids(&mut all, &one.values, &one.not_values, make);
        Some(all_ids(all))
    }

    fn permission_condition(&mut self, one: &api::Condition) -> Option<rbac::Permission> {
        let make: Box<dyn Fn(&str) -> rbac::Permission> = match one.key.as_str() {
            "destination.ip" => Box::new(|block| permission(Rule::DestinationIp(range(block)))),
            "destination.port" => Box::new(|port| permission(Rule::DestinationPort(port.parse().unwrap_or_default()))),
            "connection.sni" => Box::new(|name| permission(Rule::RequestedServerName(wildcard(name)))),
            key => {
                let known = key.starts_with("source.") || key == "remote.ip" || key.starts_with("request.headers[");
                // What is not known is met by nobody: an ALLOW does not allow more, and a DENY is told apart by its
                // other conditions.
                self.impossible |= !known && !self.wide;
                return None;
            }
        };
        let mut all = Vec::new();
        both_rules(&mut all, &one.values, &one.not_values, make);
        Some(all_rules(all))
    }
}

fn both_ids(all: &mut Vec<rbac::Principal>, yes: &[String], no: &[String], make: impl Fn(&str) -> rbac::Principal) {
    let any_of = |values: &[String]| {
        let ids = values.iter().map(|value| make(value)).collect();
        identifier(Identifier::OrIds(rbac::principal::Set { ids }))
    };
    if !yes.is_empty() {
        all.push(any_of(yes));
    }
    if !no.is_empty() {
        all.push(identifier(Identifier::NotId(Box::new(any_of(no)))));
    }
}

fn both_rules(all: &mut Vec<rbac::Permission>, yes: &[String], no: &[String], make: impl Fn(&str) -> rbac::Permission) {
    let any_of = |values: &[String]| {
        let rules = values.iter().map(|value| make(value)).collect();
        permission(Rule::OrRules(rbac::permission::Set { rules }))
    };
    if !yes.is_empty() {
        all.push(any_of(yes));
    }
    if !no.is_empty() {
        all.push(permission(Rule::NotRule(Box::new(any_of(no)))));
    }
}

fn all_ids(ids: Vec<rbac::Principal>) -> rbac::Principal {
    if ids.is_empty() {
        identifier(Identifier::Any(true))
    } else {
        identifier(Identifier::AndIds(rbac::principal::Set { ids }))
    }
}

fn all_rules(rules: Vec<rbac::Permission>) -> rbac::Permission {
    if rules.is_empty() {
        permission(Rule::Any(true))
    } else {
        permission(Rule::AndRules(rbac::permission::Set { rules }))
    }
}

fn identifier(identifier: Identifier) -> rbac::Principal {
    rbac::Principal { identifier: Some(identifier) }
}

fn permission(rule: Rule) -> rbac::Permission {
    rbac::Permission { rule: Some(rule) }
}

fn authenticated(name: StringMatcher) -> rbac::Principal {
    identifier(Identifier::Authenticated(rbac::principal::Authenticated { principal_name: Some(name) }))
}

/// A principal without its scheme, as policies write it.
fn principal_name(name: &str) -> StringMatcher {
    match name {
        "*" => pattern(".+"),
        name => match name.strip_prefix('*') {
            Some(suffix) => pattern(&format!("spiffe://.*{}", regex_escape(suffix))),
            None => wildcard(&format!("spiffe://{name}")),
        },
    }
}

fn pattern(text: &str) -> StringMatcher {
    use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
    StringMatcher { match_pattern: Some(MatchPattern::SafeRegex(regex(text))), ignore_case: false }
}

fn ignoring_case(test: StringMatcher) -> StringMatcher {
    StringMatcher { ignore_case: true, ..test }
}

/// `*` at either end as a regular expression of one segment.
fn glob(text: &str) -> String {
    text.split('*').map(regex_escape).collect::<Vec<_>>().join("[^/]*")
}

fn regex_escape(text: &str) -> String {
    let special = |c: char| "\\.+*?()|[]{}^$#&-~".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

fn header(name: &str, test: StringMatcher) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(test)),
        ..Default::default()
    }
}

fn header_rule(name: &str, test: StringMatcher) -> rbac::Permission {
    permission(Rule::Header(header(name, test)))
}

/// A path: exact, with `*` at one end, or a template (`{*}` is a segment, `{**}` the rest).
fn url_path(path: &str) -> PathMatcher {
    let test = if path.contains("{*}") || path.contains("{**}") {
        let escaped = regex_escape(path).replace("\\{\\*\\*\\}", ".*").replace("\\{\\*\\}", "[^/]+");
        pattern(&escaped)
    } else {
        wildcard(path)
    };
    PathMatcher { rule: Some(path_matcher::Rule::Path(test)) }
}

fn range(block: &str) -> CidrRange {
    let (ip, length) = block.split_once('/').unwrap_or((block, if block.contains(':') { "128" } else { "32" }));
    CidrRange { address_prefix: ip.to_owned(), prefix_len: Some(number(length.parse().unwrap_or(128))) }
}
