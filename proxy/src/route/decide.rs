//! Everything between a request's head and its way out, in order: prepare, find, authorise, CORS, injected faults, split,
//! rewrite. Asks the control plane for what a first use lacks.

use std::borrow::Cow;
use std::sync::Arc;

use mesh_http::{Known, RequestHead, ResponseHead};
use mesh_types::Name;

use super::decision::{Action, Answer, Decision, Forward};
use super::{cors, draw, find, hash, prepare, rewrite};
use crate::authz::{self, Subject};
use crate::conn::ConnInfo;
use crate::fault::{Cause, Fault, Flag, Step};
use crate::model::{
    Destination, FaultInjection, HostRewrite, HttpConnection, ListenerKind, Route, RouteAction, RouteConfig,
    RouteSource, RouteTarget, Snapshot, VirtualHost, WeightedCluster,
};
use crate::xds::{Config, DemandError};

/// Decides what is done with a request, and edits it accordingly.
pub async fn decide(
    config: &Config,
    snapshot: Arc<Snapshot>,
    conn: &ConnInfo,
    http: &HttpConnection,
    head: &mut RequestHead,
) -> Decision {
    let grpc = head.is_grpc();
    let mut open = Open {
        config,
        conn,
        http,
        snapshot,
        routes: None,
        host: None,
        route: None,
        audited: None,
        response_fields: Vec::new(),
        weighted: 0,
    };
    match open.action(head).await {
        Ok((delay, action)) => open.close(delay, action),
        Err(fault) => open.close(None, Action::Answer(Answer::of(fault, grpc, conn.kind))),
    }
}

/// A decision in the making.
struct Open<'a> {
    config: &'a Config,
    conn: &'a ConnInfo,
    http: &'a HttpConnection,
    snapshot: Arc<Snapshot>,
    routes: Option<Arc<RouteConfig>>,
    host: Option<Arc<VirtualHost>>,
    route: Option<Arc<Route>>,
    audited: Option<bool>,
    response_fields: Vec<(&'static str, String)>,
    weighted: usize,
}

type Delay = Option<std::time::Duration>;

impl Open<'_> {
    async fn action(&mut self, head: &mut RequestHead) -> Result<(Delay, Action), Fault> {
        prepare::prepare(head, self.conn, self.http, self.config.identity())?;
        let found = self.find(head).await;
        // Permission comes before everything that could tell a stranger what there is.
        let policies = &self.http.filters.rbac;
        let subject = Subject { conn: self.conn, head: Some(head) };
        let (audited, permitted) = (authz::audited(policies, &subject), authz::check(policies, &subject));
        self.audited = audited;
        permitted?;
        let host = found?;
        let no_route = || Fault::new(Cause::NoRoute, Step::Route).because(format!("no route of {} matches", host.name));
        let route = self.route.clone().ok_or_else(no_route)?;
        self.config.touch(&host.last_use);
        if self.http.filters.cors
            && let Some(rules) = route.cors.as_ref().or(host.cors.as_ref())
            && let Some(answer) = cors::check(rules, head, &mut self.response_fields)
        {
            return Ok((None, Action::Answer(answer)));
        }
        let (delay, aborted) = self.inject(&route, head);
        if let Some(answer) = aborted {
            return Ok((delay, Action::Answer(answer)));
        }
        let action = match &route.action {
            RouteAction::Direct(direct) => {
                Action::Answer(Answer::new(direct.status, direct.body.clone(), "direct_response"))
            }
            RouteAction::Redirect(redirect) => {
                let mut answer = Answer::new(redirect.status, Arc::default(), "direct_response");
                answer.head.fields.append(b"location", &rewrite::location(redirect, &route.matches, head));
                Action::Answer(answer)
            }
            RouteAction::Forward(target) => Action::Forward(self.forward(&host, &route, target, head).await?),
        };
        Ok((delay, action))
    }

    /// The authority's virtual host, asked for if it only comes when asked, and the route in it.
    async fn find(&mut self, head: &RequestHead) -> Result<Arc<VirtualHost>, Fault> {
        let authority = find::lower_case(head.authority());
        let mut routes = self.newest_routes()?;
        let mut host = find::exact(&routes, &authority);
        let mut asked = Ok(());
        if host.is_none() && routes.on_demand {
            asked = self.ask_for_host(&routes, &authority).await;
            routes = self.newest_routes()?;
            host = find::exact(&routes, &authority);
        }
        // Patterns say what becomes of what does not exist.
        let host = host.or_else(|| find::by_pattern(&routes, &authority));
        self.routes = Some(routes);
        asked?;
        let no_host = || Fault::new(Cause::NoRoute, Step::Route).because(format!("no virtual host for {authority:?}"));
        let host = host.ok_or_else(no_host)?;
        self.route = find::route(&host, head);
        self.host = Some(host.clone());
        Ok(host)
    }

    async fn ask_for_host(&mut self, routes: &RouteConfig, authority: &str) -> Result<(), Fault> {
        match self.config.virtual_host(&routes.name, find::lookup_name(routes, authority)).await {
            Ok(snapshot) => self.snapshot = snapshot,
            Err(DemandError::DoesNotExist) => {}
            Err(error) => return Err(unavailable(&error)),
        }
        Ok(())
    }

    fn newest_routes(&self) -> Result<Arc<RouteConfig>, Fault> {
        match &self.http.routes {
            RouteSource::Inline(routes) => Ok(routes.clone()),
            RouteSource::Rds(name) => self.snapshot.routes.get(name).cloned().ok_or_else(|| {
                Fault::new(Cause::NoRoute, Step::Route).because(format!("route configuration {name} is not there yet"))
            }),
        }
    }

    /// Injected faults: a delay, and an answer that ends the request after it.
    fn inject(&self, route: &Route, head: &RequestHead) -> (Delay, Option<Answer>) {
        let Some(injection) = route.fault.as_ref().filter(|_| self.http.filters.fault) else { return (None, None) };
        if !injection.fields.iter().all(|rule| find::field_matches(rule, head)) {
            return (None, None);
        }
        let delay = injection.delay.filter(|(_, percent)| draw(*percent)).map(|(delay, _)| delay);
        (delay, abort(injection, head.is_grpc(), self.conn.kind))
    }

    async fn forward(
        &mut self,
        host: &VirtualHost,
        route: &Route,
        target: &RouteTarget,
        head: &mut RequestHead,
    ) -> Result<Forward, Fault> {
        let (index, chosen) = choose(target);
        self.weighted = index;
        let destination = self.need(&chosen.name).await?;
        let hash = hash::of(&target.hash, head, self.conn, &mut self.response_fields);
        let path = rewrite::path(&target.path, &route.matches, head.path());
        let everywhere = self.routes.as_ref().map(|routes| &routes.edits);
        for edits in [&chosen.edits, &route.edits, &host.edits].into_iter().chain(everywhere) {
            rewrite::request(&edits.request, head, self.conn);
        }
        if let Some(path) = path {
            let original = head.path().to_vec();
            head.fields.set(b"x-envoy-original-path", &original);
            head.set_path(&path);
        }
        if let HostRewrite::Literal(new) = &target.host {
            let original = head.authority().to_vec();
            head.fields.set(b"x-envoy-original-host", &original);
            head.set_authority(new);
        }
        let mirrors: Vec<_> = target.mirrors.iter().filter(|mirror| draw(mirror.percent)).collect();
        Ok(Forward {
            destination,
            hash,
            timeout: grpc_timeout(target, head).or(target.timeout),
            idle_timeout: target.idle_timeout,
            retry: target.retry.clone().or_else(|| host.retry.clone()),
            mirrors: mirrors.into_iter().map(|mirror| (mirror.cluster.clone(), mirror.shadow_suffix)).collect(),
            host_from_endpoint: matches!(target.host, HostRewrite::Endpoint),
            upgrade: self.may_upgrade(target, head)?,
            attempt_count: host.include_attempt_count,
        })
    }

    /// The cluster, asked for if the snapshot lacks it. That it does not exist is found out when it is used.
    async fn need(&mut self, cluster: &Name) -> Result<Destination, Fault> {
        let known = Destination::of(&self.snapshot, cluster);
        if known.cluster().is_some() {
            return Ok(known);
        }
        match self.config.cluster(cluster).await {
            Ok(snapshot) => self.snapshot = snapshot,
            Err(DemandError::DoesNotExist) => {}
            Err(error) => return Err(unavailable(&error)),
        }
        Ok(Destination::of(&self.snapshot, cluster))
    }

    /// An upgrade that is not allowed is refused, never sent on as something else.
    fn may_upgrade(&self, target: &RouteTarget, head: &RequestHead) -> Result<bool, Fault> {
        let connect = head.method() == b"CONNECT";
        if !head.upgrade && !connect {
            return Ok(false);
        }
        let wanted =
            if connect { Cow::Borrowed(&b"connect"[..]) } else { find::field(head, "upgrade").unwrap_or_default() };
        let is_wanted = |name: &str| wanted.eq_ignore_ascii_case(name.as_bytes());
        let by_route = target.upgrades.iter().find(|(name, _)| is_wanted(name)).map(|(_, allowed)| *allowed);
        let allowed = by_route.unwrap_or_else(|| self.http.upgrades.iter().any(|name| is_wanted(name)));
        if allowed { Ok(true) } else { Err(Fault::new(Cause::UpgradeRefused, Step::Route)) }
    }

    fn close(self, delay: Delay, action: Action) -> Decision {
        Decision {
            snapshot: self.snapshot,
            routes: self.routes,
            route: self.route,
            host: self.host,
            audited: self.audited,
            delay,
            action,
            response_fields: self.response_fields,
            weighted: self.weighted,
        }
    }
}

impl Decision {
    /// Edits a response as the configuration asks, whether it is an endpoint's or our own.
    pub fn edit_response(&self, conn: &ConnInfo, http: &HttpConnection, head: &mut ResponseHead) {
        if let Some(route) = &self.route {
            if let RouteAction::Forward(target) = &route.action
                && let Some(chosen) = target.clusters.get(self.weighted)
            {
                rewrite::response(&chosen.edits.response, &mut head.fields, conn);
            }
            rewrite::response(&route.edits.response, &mut head.fields, conn);
        }
        if let Some(host) = &self.host {
            rewrite::response(&host.edits.response, &mut head.fields, conn);
        }
        if let Some(routes) = &self.routes {
            rewrite::response(&routes.edits.response, &mut head.fields, conn);
        }
        for (name, value) in &self.response_fields {
            head.fields.append(name.as_bytes(), value.as_bytes());
        }
        if let Some(server) = &http.server_name {
            head.fields.set(Known::Server, server.as_bytes());
        }
    }
}

fn unavailable(error: &DemandError) -> Fault {
    Fault::new(Cause::ConfigurationUnavailable, Step::Route).because(error.to_string())
}

fn abort(injection: &FaultInjection, grpc: bool, kind: ListenerKind) -> Option<Answer> {
    let fault = |status| Fault::new(Cause::InjectedAbort(status), Step::Route);
    if let Some((status, percent)) = injection.abort
        && draw(percent)
    {
        return Some(Answer::of(fault(status), grpc, kind));
    }
    let (status, _) = injection.abort_grpc.filter(|(_, percent)| draw(*percent))?;
    let mut answer = Answer::of(fault(200), grpc, kind);
    if grpc {
        answer.head.fields.set(b"grpc-status", status.to_string().as_bytes());
    }
    answer.flag = Some(Flag::FaultInjected);
    Some(answer)
}

/// By weight; the common case of one cluster draws nothing.
fn choose(target: &RouteTarget) -> (usize, &WeightedCluster) {
    if target.clusters.len() > 1 && target.total_weight > 0 {
        let mut left = fastrand::u64(..target.total_weight);
        for (index, cluster) in target.clusters.iter().enumerate() {
            match left.checked_sub(u64::from(cluster.weight)) {
                None => return (index, cluster),
                Some(rest) => left = rest,
            }
        }
    }
    (0, &target.clusters[0])
}

/// `grpc-timeout`, where the route honours it: digits and a unit.
fn grpc_timeout(target: &RouteTarget, head: &RequestHead) -> Delay {
    let most = target.max_grpc_timeout?;
    let text = std::str::from_utf8(head.fields.get(Known::GrpcTimeout)?).ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    let asked = match unit {
        "H" => std::time::Duration::from_secs(count * 3600),
        "M" => std::time::Duration::from_secs(count * 60),
        "S" => std::time::Duration::from_secs(count),
        "m" => std::time::Duration::from_millis(count),
        "u" => std::time::Duration::from_micros(count),
        "n" => std::time::Duration::from_nanos(count),
        _ => return None,
    };
    Some(if most.is_zero() { asked } else { asked.min(most) })
}
