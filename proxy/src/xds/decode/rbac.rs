//! RBAC, as Istio writes it.

use std::mem::take;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::rbac::v3 as rbac;
use envoy_types::pb::envoy::config::rbac::v3::permission::Rule;
use envoy_types::pb::envoy::config::rbac::v3::principal::Identifier;
use envoy_types::pb::envoy::r#type::matcher::v3::path_matcher;
use ipnet::IpNet;

use super::matcher::{field_match, string_match};
use super::{At, Invalid, Result, each, nothing_else, required};
use crate::model::{Condition, Policy, PolicyAction, Rbac};

/// The filters of one RBAC configuration: its rules, and its shadow rules, which are only noted.
pub(super) fn filters(rules: Option<rbac::Rbac>, shadow: Option<rbac::Rbac>) -> Result<Vec<Arc<Rbac>>> {
    let rules = rules.map(|rules| filter(rules, false)).transpose().at("rules")?;
    let shadow = shadow.map(|rules| filter(rules, true)).transpose().at("shadow_rules")?;
    Ok(rules.into_iter().chain(shadow).map(Arc::new).collect())
}

fn filter(mut message: rbac::Rbac, shadow: bool) -> Result<Rbac> {
    let action = match take(&mut message.action) {
        0 => PolicyAction::Allow,
        1 => PolicyAction::Deny,
        2 => PolicyAction::Log,
        other => return Err(Invalid::new(format!("{other} is no action"))).at("action"),
    };
    let mut policies: Vec<_> = take(&mut message.policies).into_iter().collect();
    policies.sort_by(|one, other| one.0.cmp(&other.0));
    let policies = policies.into_iter().map(|(name, mut message)| {
        let permissions = each(take(&mut message.permissions), "permissions", permission);
        let principals = each(take(&mut message.principals), "principals", principal);
        nothing_else(&message)?;
        Ok(Policy { permissions: permissions?, principals: principals?, name: name.into() })
    });
    let policies = policies.collect::<Result<_>>().at("policies")?;
    nothing_else(&message)?;
    Ok(Rbac { action, policies, shadow })
}

fn permission(message: rbac::Permission) -> Result<Condition> {
    Ok(match required(message.rule, "rule")? {
        Rule::Any(true) => Condition::Any,
        Rule::Any(false) => Condition::Not(Box::new(Condition::Any)),
        Rule::AndRules(set) => Condition::And(each(set.rules, "and_rules.rules", permission)?),
        Rule::OrRules(set) => Condition::Or(each(set.rules, "or_rules.rules", permission)?),
        Rule::NotRule(rule) => Condition::Not(Box::new(permission(*rule).at("not_rule")?)),
        Rule::Header(test) => Condition::Field(field_match(test).at("header")?),
        Rule::UrlPath(test) => url_path(test).at("url_path")?,
        Rule::DestinationIp(range) => Condition::DestinationIp(net(&range).at("destination_ip")?),
        Rule::DestinationPort(port) => {
            let port = u16::try_from(port).map_err(|_| Invalid::new("is no port")).at("destination_port")?;
            Condition::DestinationPorts(port, port)
        }
        Rule::RequestedServerName(test) => Condition::ServerName(string_match(test).at("requested_server_name")?),
        other => return Err(unsupported(&format!("{other:?}"))),
    })
}

fn principal(message: rbac::Principal) -> Result<Condition> {
    Ok(match required(message.identifier, "identifier")? {
        Identifier::Any(true) => Condition::Any,
        Identifier::Any(false) => Condition::Not(Box::new(Condition::Any)),
        Identifier::AndIds(set) => Condition::And(each(set.ids, "and_ids.ids", principal)?),
        Identifier::OrIds(set) => Condition::Or(each(set.ids, "or_ids.ids", principal)?),
        Identifier::NotId(id) => Condition::Not(Box::new(principal(*id).at("not_id")?)),
        Identifier::Authenticated(mut who) => {
            let test = take(&mut who.principal_name).map(string_match).transpose().at("authenticated")?;
            nothing_else(&who).at("authenticated")?;
            Condition::Authenticated(test)
        }
        Identifier::DirectRemoteIp(range) => Condition::DirectRemoteIp(net(&range).at("direct_remote_ip")?),
        Identifier::RemoteIp(range) => Condition::RemoteIp(net(&range).at("remote_ip")?),
        Identifier::Header(test) => Condition::Field(field_match(test).at("header")?),
        Identifier::UrlPath(test) => url_path(test).at("url_path")?,
        other => return Err(unsupported(&format!("{other:?}"))),
    })
}

fn unsupported(debug: &str) -> Invalid {
    let kind = debug.split(['(', ' ']).next().unwrap_or_default();
    Invalid::new(format!("{kind} is not supported"))
}

fn url_path(message: envoy_types::pb::envoy::r#type::matcher::v3::PathMatcher) -> Result<Condition> {
    match required(message.rule, "rule")? {
        path_matcher::Rule::Path(test) => Ok(Condition::UrlPath(string_match(test)?)),
    }
}

pub(super) fn net(range: &CidrRange) -> Result<IpNet> {
    let ip = range
        .address_prefix
        .parse()
        .map_err(|_| Invalid::new(format!("{:?} is no IP address", range.address_prefix)))?;
    let length = range.prefix_len.as_ref().map_or(0, |length| length.value);
    let length = u8::try_from(length).map_err(|_| Invalid::new("is no prefix length"))?;
    Ok(IpNet::new(ip, length).map_err(|_| Invalid::new(format!("{length} is too long a prefix")))?.trunc())
}
