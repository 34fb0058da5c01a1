//! Finding, balancing and steering calls.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;
use serde_json::Value;

use crate::client::Answer;
use crate::place::{Ask, Caller, Place};
use crate::shop::Role;
use crate::story::eventually;

/// How long an edit may take to be live.
pub(super) const LIVE: Duration = Duration::from_secs(10);

/// How many answers each version gave. Fails if one was not a 200.
pub(super) fn versions(answers: &[Answer]) -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        ensure!(answer.status == StatusCode::OK, "{} {}", answer.status, answer.text());
        let version = answer.json()["version"].as_str().unwrap_or("?").to_owned();
        *counts.entry(version).or_default() += 1;
    }
    Ok(counts)
}

pub(super) fn show(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(version, count)| format!("{version} {count}")).collect::<Vec<_>>().join(", ")
}

pub(super) fn reviews() -> Ask {
    Ask::service(Role::Reviews, "/reviews/0")
}

pub(super) fn balancing(place: &dyn Place) -> Result<String> {
    let all_three = eventually(LIVE, || {
        let counts = versions(&place.ask(Caller::Client, &reviews(), 30)?)?;
        ensure!(counts.len() == 3, "only {} answered", show(&counts));
        Ok(())
    })?;
    let answers = place.ask(Caller::Client, &reviews(), 300)?;
    let counts = versions(&answers)?;
    ensure!(counts.values().all(|count| (60..=140).contains(count)), "not even: {}", show(&counts));
    let over_tls = requests_over_mtls(place, "reviews-v1")?;
    ensure!(over_tls > 0, "reviews-v1 counted no call over mutual TLS from workload `client`");
    let slowest = answers.iter().map(|answer| answer.took).max().unwrap_or_default();
    Ok(format!(
        "{}; {over_tls} at v1 over mutual TLS; slowest call {slowest:.1?}; all three found after {all_three:.1?}",
        show(&counts)
    ))
}

/// Istio's standard metric at the server's own proxy, which knows who called.
fn requests_over_mtls(place: &dyn Place, workload: &str) -> Result<u64> {
    let page = place.admin(workload, "/stats/prometheus")?;
    let counted = page.lines().filter(|line| {
        line.starts_with("istio_requests_total{")
            && line.contains(r#"reporter="destination""#)
            && line.contains(r#"connection_security_policy="mutual_tls""#)
            && line.contains(r#"source_workload="client""#)
    });
    Ok(counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
}

pub(super) fn grpc(place: &dyn Place) -> Result<String> {
    eventually(LIVE, || {
        let answers = place.ask_grpc(Role::Reviews, 60)?;
        let seen: BTreeSet<_> = answers.into_iter().map(|(version, _)| version).collect();
        ensure!(seen.len() == 3, "only {seen:?} answered");
        Ok(())
    })?;
    let answers = place.ask_grpc(Role::Reviews, 300)?;
    let mut counts = BTreeMap::new();
    for (version, status) in answers {
        ensure!(status == "0", "{version:?} with grpc-status {status:?}");
        *counts.entry(version).or_default() += 1;
    }
    let even = counts.len() == 3 && counts.values().all(|count| (50..=150).contains(count));
    ensure!(even, "not even: {}", show(&counts));
    let counted = place.admin("client", "/stats/prometheus")?;
    let with_status = counted.lines().any(|line| {
        line.starts_with("istio_requests_total{")
            && line.contains(r#"request_protocol="grpc""#)
            && line.contains(r#"grpc_response_status="0""#)
    });
    ensure!(with_status, "no call is counted with its gRPC status");
    Ok(format!("{}, on one connection of the application's; counted with their gRPC status", show(&counts)))
}

pub(super) fn on_demand(place: &dyn Place) -> Result<String> {
    let mut told = Vec::new();
    for (workload, calls) in [("details-v1", &[][..]), ("productpage-v1", &["details", "reviews"])] {
        let page: Value = serde_json::from_str(&place.admin(workload, "/config_dump")?)?;
        let clusters = page.pointer("/configs/0/dynamic_active_clusters").and_then(|all| all.as_array());
        let clusters = clusters.context("no clusters in the dump")?;
        let outbound = clusters.iter().filter_map(|one| one["cluster"]["name"].as_str()?.strip_prefix("outbound|"));
        let mut hosts: Vec<&str> = outbound.filter_map(|name| name.rsplit('|').next()?.split('.').next()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        ensure!(hosts == calls, "{workload} calls {calls:?} and knows {hosts:?}");
        told.push(format!(
            "{workload} knows {}",
            if hosts.is_empty() { "nobody".to_owned() } else { hosts.join(" and ") }
        ));
    }
    Ok(told.join("; "))
}

pub(super) fn ingress(place: &dyn Place) -> Result<String> {
    let ask = Ask::ingress("shop.example.com", "/productpage");
    eventually(LIVE, || match place.ask_once(Caller::Outside, &ask)? {
        answer if answer.status == StatusCode::OK => Ok(()),
        answer => bail!("{} {}", answer.status, answer.text()),
    })?;
    let answers = place.ask(Caller::Outside, &ask, 50)?;
    for answer in &answers {
        let page = answer.json();
        let whole = page["details"]["status"] == 200 && page["reviews"]["status"] == 200;
        ensure!(whole, "not a whole page: {}", answer.text());
    }
    let refused = place.ask_once(Caller::Outside, &Ask::ingress("other.example.com", "/productpage"))?;
    ensure!(refused.status == StatusCode::NOT_FOUND, "another host got {}", refused.status);
    let mut times: Vec<_> = answers.iter().map(|answer| answer.took).collect();
    times.sort_unstable();
    Ok(format!("50 whole pages, median {:.1?}; other.example.com got 404", times[times.len() / 2]))
}

pub(super) fn canary(place: &dyn Place) -> Result<String> {
    place.apply("40-reviews.yaml", include_str!("../../yaml/reviews-subsets.yaml"))?;
    place.apply("41-reviews.yaml", include_str!("../../yaml/reviews-canary.yaml"))?;
    let live = eventually(LIVE, || {
        let counts = versions(&place.ask(Caller::Client, &reviews(), 40)?)?;
        ensure!(!counts.contains_key("v2"), "v2 still answers: {}", show(&counts));
        Ok(())
    })?;
    let counts = versions(&place.ask(Caller::Client, &reviews(), 1000)?)?;
    let canary = counts.get("v3").copied().unwrap_or_default();
    ensure!((70..=130).contains(&canary) && !counts.contains_key("v2"), "{}", show(&counts));
    Ok(format!("{}; live after {live:.1?}", show(&counts)))
}

pub(super) fn by_header(place: &dyn Place) -> Result<String> {
    place.apply("41-reviews.yaml", include_str!("../../yaml/reviews-by-header.yaml"))?;
    let jason = reviews().header("end-user", "jason");
    let live = eventually(LIVE, || {
        let counts = versions(&place.ask(Caller::Client, &jason, 5)?)?;
        ensure!(counts.len() == 1 && counts.contains_key("v2"), "jason gets {}", show(&counts));
        Ok(())
    })?;
    let (testers, everyone) =
        (versions(&place.ask(Caller::Client, &jason, 100)?)?, versions(&place.ask(Caller::Client, &reviews(), 100)?)?);
    ensure!(testers.len() == 1 && testers.contains_key("v2"), "jason got {}", show(&testers));
    ensure!(everyone.len() == 1 && everyone.contains_key("v1"), "everyone got {}", show(&everyone));
    place.remove("41-reviews.yaml")?;
    place.remove("40-reviews.yaml")?;
    Ok(format!("jason: {}; everyone: {}; live after {live:.1?}", show(&testers), show(&everyone)))
}
