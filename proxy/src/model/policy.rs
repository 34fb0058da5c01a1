//! Authorisation: Envoy's RBAC as Istio uses it.

use ipnet::IpNet;
use mesh_types::Name;

use super::matcher::{FieldMatch, PathMatch, StringMatch};

/// One RBAC filter. Several stand in a row: DENY before ALLOW.
#[derive(Clone, Debug)]
pub struct Rbac {
    /// What a match means.
    pub action: PolicyAction,
    /// In order of their names.
    pub policies: Vec<Policy>,
    /// Only counted and logged, never enforced (`istio.io/dry-run`).
    pub shadow: bool,
}

/// What a match means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyAction {
    /// Refuse unless some policy matches.
    Allow,
    /// Refuse if some policy matches.
    Deny,
    /// Note it and go on.
    Log,
}

/// One policy: it matches if some permission and some principal do.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `ns[<namespace>]-policy[<name>]-rule[<index>]`, as Istio names them; in the response code details.
    pub name: Name,
    /// What is done: any of these.
    pub permissions: Vec<Condition>,
    /// By whom: any of these.
    pub principals: Vec<Condition>,
}

/// A condition over a connection and, in HTTP, a request. Permissions and principals of Envoy in one type.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Always.
    Any,
    /// All hold.
    And(Vec<Condition>),
    /// One holds.
    Or(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A header field or pseudo field.
    Field(FieldMatch),
    /// The path without query.
    Path(PathMatch),
    /// The path without query, by a string test.
    UrlPath(StringMatch),
    /// The peer's verified identity: the test is of the URI (`spiffe://…`). `None` holds for any authenticated peer.
    Authenticated(Option<StringMatch>),
    /// Address of the connection's peer.
    DirectRemoteIp(IpNet),
    /// Address of the original client, `x-forwarded-for` taken into account.
    RemoteIp(IpNet),
    /// Original destination address.
    DestinationIp(IpNet),
    /// Original destination ports, `start..=end`.
    DestinationPorts(u16, u16),
    /// Server name of the ClientHello.
    ServerName(StringMatch),
}
