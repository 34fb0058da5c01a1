//! Permission: Envoy's RBAC over a connection and, in HTTP, a request. What cannot be answered is refused.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use mesh_http::RequestHead;

use crate::conn::ConnInfo;
use crate::fault::{Cause, Fault, Step};
use crate::model::{Condition, Policy, PolicyAction, Rbac};
use crate::route;

/// Who asks for what.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The connection.
    pub conn: &'a ConnInfo,
    /// The request; `None` for bytes.
    pub head: Option<&'a RequestHead>,
}

/// Asks every filter in turn.
///
/// # Errors
/// [`Cause::Denied`] with the policy that says no, or without one where none says yes.
pub fn check(filters: &[Arc<Rbac>], subject: &Subject<'_>) -> Result<(), Fault> {
    filters.iter().filter(|filter| !filter.shadow).try_for_each(|filter| {
        let matched = filter.policies.iter().find(|policy| policy_matches(policy, subject));
        let denied = Fault::new(Cause::Denied, Step::Authorise);
        match (filter.action, matched) {
            (PolicyAction::Allow, None) => Err(denied.because("none")),
            (PolicyAction::Deny, Some(policy)) => Err(denied.because(policy.name.to_string())),
            _ => Ok(()),
        }
    })
}

/// What AUDIT policies (Envoy's action `LOG`) say: true if one of them matches; `None` if there are none. They decide
/// nothing.
pub fn audited(filters: &[Arc<Rbac>], subject: &Subject<'_>) -> Option<bool> {
    let mut asked = filters.iter().filter(|filter| !filter.shadow && filter.action == PolicyAction::Log).peekable();
    asked.peek()?;
    Some(asked.any(|filter| filter.policies.iter().any(|policy| policy_matches(policy, subject))))
}

fn policy_matches(policy: &Policy, subject: &Subject<'_>) -> bool {
    let holds = |condition: &Condition| holds(condition, subject);
    policy.permissions.iter().any(holds) && policy.principals.iter().any(holds)
}

fn holds(condition: &Condition, subject: &Subject<'_>) -> bool {
    let conn = subject.conn;
    let contains = |net: &IpNet, ip: IpAddr| net.contains(&ip.to_canonical());
    match condition {
        Condition::Any => true,
        Condition::And(all) => all.iter().all(|condition| holds(condition, subject)),
        Condition::Or(any) => any.iter().any(|condition| holds(condition, subject)),
        Condition::Not(inner) => !holds(inner, subject),
        Condition::Field(rule) => subject.head.is_some_and(|head| route::field_matches(rule, head)),
        Condition::Path(rule) => subject.head.is_some_and(|head| route::path_matches(rule, path(head), false)),
        Condition::UrlPath(test) => subject.head.is_some_and(|head| test.matches(path(head))),
        Condition::Authenticated(None) => conn.peer_identity().is_some(),
        Condition::Authenticated(Some(test)) => {
            conn.tls.as_ref().is_some_and(|tls| tls.uri_sans().iter().any(|uri| test.matches(uri.as_bytes())))
        }
        Condition::DirectRemoteIp(net) => contains(net, conn.direct_peer().ip()),
        Condition::RemoteIp(net) => contains(net, original_client(subject)),
        Condition::DestinationIp(net) => contains(net, conn.destination.ip()),
        Condition::DestinationPorts(first, last) => (*first..=*last).contains(&conn.destination.port()),
        Condition::ServerName(test) => conn.sni.as_deref().is_some_and(|name| test.matches(name.as_bytes())),
    }
}

fn path(head: &RequestHead) -> &[u8] {
    route::split_query(head.path()).0
}

/// The last address of `x-forwarded-for`, which the proxy nearest to us wrote; else the peer's.
fn original_client(subject: &Subject<'_>) -> IpAddr {
    let told = subject.head.and_then(|head| route::field(head, "x-forwarded-for"));
    let last = told.as_deref().and_then(|list| list.rsplit(|b| *b == b',').next());
    let parsed = last.and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok());
    parsed.unwrap_or_else(|| subject.conn.peer.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::PeerTls;
    use crate::model::{ListenerKind, StringMatch};

    fn conn(identity: Option<&str>) -> ConnInfo {
        let tls = identity.map(PeerTls::with_peer);
        let (peer, destination) = (([10, 0, 0, 7], 4000).into(), ([10, 0, 0, 1], 9080).into());
        let conn = ConnInfo::new(ListenerKind::Inbound, "virtualInbound".into(), peer, destination);
        ConnInfo { local: ([10, 0, 0, 1], 15006).into(), tls, ..conn }
    }

    fn rbac(action: PolicyAction, name: &str, principal: Condition) -> Arc<Rbac> {
        let policy = Policy { name: name.into(), permissions: vec![Condition::Any], principals: vec![principal] };
        Arc::new(Rbac { action, policies: vec![policy], shadow: false })
    }

    fn is(uri: &str) -> Condition {
        Condition::Authenticated(Some(StringMatch::Exact { text: uri.as_bytes().into(), ignore_case: false }))
    }

    #[test]
    fn allow_needs_a_yes_and_deny_a_no() {
        let reviews = "spiffe://cluster.local/ns/default/sa/reviews";
        let allow = [rbac(PolicyAction::Allow, "a", is(reviews))];
        let ask = |filters: &[Arc<Rbac>], who: Option<&str>| {
            check(filters, &Subject { conn: &conn(who), head: None }).map_err(|fault| fault.details().into_owned())
        };
        assert_eq!(ask(&allow, Some(reviews)), Ok(()));
        assert_eq!(
            ask(&allow, Some("spiffe://cluster.local/ns/default/sa/x")),
            Err("rbac_access_denied_matched_policy[none]".into())
        );
        assert!(ask(&allow, None).is_err());
        let deny = [rbac(PolicyAction::Deny, "d", is(reviews))];
        assert_eq!(ask(&deny, Some(reviews)), Err("rbac_access_denied_matched_policy[d]".into()));
        assert_eq!(ask(&deny, None), Ok(()));
        assert!(ask(&[rbac(PolicyAction::Allow, "a", Condition::Any), deny[0].clone()], Some(reviews)).is_err());
    }

    /// `ipBlocks` are about the connection, `remoteIpBlocks` about the caller.
    #[test]
    fn a_header_changes_who_calls_and_not_where_the_connection_is_from() {
        use crate::conn::Announced;
        let announced = Announced { by: ([10, 0, 0, 9], 1).into(), to: ([10, 0, 0, 1], 80).into() };
        let told = ConnInfo { announced: Some(Box::new(announced)), peer: ([192, 0, 2, 7], 2).into(), ..conn(None) };
        let (balancer, caller): (IpNet, IpNet) = ("10.0.0.9/32".parse().unwrap(), "192.0.2.7/32".parse().unwrap());
        let is = |conn: &ConnInfo, condition: &Condition| holds(condition, &Subject { conn, head: None });
        let direct = [balancer, caller].map(|net| is(&told, &Condition::DirectRemoteIp(net)));
        let remote = [balancer, caller].map(|net| is(&told, &Condition::RemoteIp(net)));
        assert_eq!((direct, remote), ([true, false], [false, true]));
        assert!(is(&conn(None), &Condition::DirectRemoteIp("10.0.0.7/32".parse().unwrap())), "nobody told of it");
    }

    #[test]
    fn audit_notes_and_decides_nothing() {
        let reviews = "spiffe://cluster.local/ns/default/sa/reviews";
        let log = [rbac(PolicyAction::Log, "l", is(reviews))];
        let ask = |filters: &[Arc<Rbac>], who: Option<&str>| {
            let conn = conn(who);
            let subject = Subject { conn: &conn, head: None };
            (check(filters, &subject).is_ok(), audited(filters, &subject))
        };
        assert_eq!(ask(&log, Some(reviews)), (true, Some(true)));
        assert_eq!(ask(&log, None), (true, Some(false)));
        assert_eq!(ask(&[rbac(PolicyAction::Deny, "d", is(reviews))], None), (true, None));
        let denied = [log[0].clone(), rbac(PolicyAction::Deny, "d", Condition::Any)];
        assert_eq!(ask(&denied, Some(reviews)), (false, Some(true)), "what is refused is noted too");
    }

    #[test]
    fn what_needs_a_request_fails_closed_without_one() {
        let path = Condition::UrlPath(StringMatch::Present);
        assert!(!holds(&path, &Subject { conn: &conn(None), head: None }));
    }
}
