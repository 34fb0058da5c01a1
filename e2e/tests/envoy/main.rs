//! Stock Envoy, driven by our control plane. It takes every resource. As a gateway beside ours, under the same
//! configuration, it must answer one table of requests alike and send the same to the origin; as a sidecar, over mutual
//! TLS, whether it calls or is called.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod acceptance;
mod agent;
mod answer;
mod bootstrap;
mod control;
mod gateway;
mod origin;
mod sidecar;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use mesh_testkit::lab::Lab;

use sidecar::{Plane, Sidecars};
use table::Request;

/// Its binary; where there is none, that is said loudly, and in CI it is a failure.
fn envoy() -> Option<std::ffi::OsString> {
    let found = std::env::var_os("WEFT_ENVOY");
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped");
        eprintln!("SKIPPED: WEFT_ENVOY does not name stock Envoy's binary (cargo xtask setup installs it)");
    }
    found
}

/// A laboratory; none where network namespaces cannot be made, which is said loudly, and in CI is a failure.
fn lab(name: &str) -> Result<Option<Lab>> {
    match Lab::new(name) {
        Ok(lab) => Ok(Some(lab)),
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: no network namespaces here ({error:#}); run as root");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[test]
fn gateways_answer_alike() -> Result<()> {
    let Some(envoy) = envoy() else { return Ok(()) };
    let Some(lab) = lab("edge")? else { return Ok(()) };
    let gateways = gateway::Gateways::start(&lab, envoy.as_ref())?;
    let mut differences = Vec::new();
    for (request, http2) in in_both_versions(table::requests()) {
        let (envoy, ours) = (gateways.ask_envoy(&request, http2)?, gateways.ask_ours(&request, http2)?);
        if envoy != ours {
            differences.push(format!("{} {request}\n  envoy: {envoy}\n  ours:  {ours}", version(http2)));
        }
    }
    gateways.took_everything()?;
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

/// Whoever calls and whoever is called: all four answers are one.
#[test]
fn sidecars_answer_alike_over_mutual_tls() -> Result<()> {
    let Some(envoy) = envoy() else { return Ok(()) };
    let mut answers: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for called in Plane::ALL {
        let Some(lab) = lab(&format!("sc{}", called as u8))? else { return Ok(()) };
        let sidecars = Sidecars::start(&lab, envoy.as_ref(), called)?;
        for caller in Plane::ALL {
            let mut note = |question: String, answer: String| {
                answers.entry(question).or_default().insert(format!("{caller} calls {called}"), answer);
            };
            for (request, http2) in in_both_versions(table::requests()) {
                let answer = sidecars.ask(caller, &request, http2)?;
                note(format!("{} {request}", version(http2)), answer.to_string());
            }
            for (request, status) in table::by_principal() {
                let answer = sidecars.ask(caller, &request, false)?;
                assert_eq!(answer.status, status, "{caller} calls {called}: {request}: {answer}");
                note(format!("by principal: {request}"), answer.to_string());
            }
            // That HTTP is spoken on an undeclared port, Istio's Envoy announces by a filter of its own (`istio.alpn`), which
            // a stock one lacks: it announces bytes, and is held to the policies for bytes.
            let undeclared = if caller == Plane::Ours { table::undeclared() } else { Vec::new() };
            for (request, http2) in in_both_versions(undeclared) {
                let answer = sidecars.ask_undeclared(caller, &request, http2)?;
                note(format!("{} {request} at an undeclared port", version(http2)), answer.to_string());
            }
            let echoes = sidecars.echo(caller)?;
            assert_eq!(echoes, [sidecar::SAID, sidecar::SAID, ""], "{caller} calls {called}");
        }
        for (request, status) in table::in_plain_text() {
            for http2 in [false, true] {
                let answer = sidecars.ask_in_plain_text(&request, http2)?;
                assert_eq!(answer.status, status, "{called}: {request}: {answer}");
                let question = format!("in plain text: {} {request}", version(http2));
                answers.entry(question).or_default().insert(format!("outside calls {called}"), answer.to_string());
            }
        }
        sidecars.is_strict()?;
        sidecars.took_everything()?;
    }
    let differences: Vec<String> = answers
        .iter()
        .filter(|(_, answers)| answers.values().collect::<BTreeSet<_>>().len() > 1)
        .map(|(question, answers)| {
            let told = answers.iter().map(|(who, answer)| format!("\n  {who}: {answer}"));
            format!("{question}{}", told.collect::<String>())
        })
        .collect();
    assert!(differences.is_empty(), "{} of {} differ:\n{}", differences.len(), answers.len(), differences.join("\n"));
    Ok(())
}

/// Each request over HTTP/1.1 and over HTTP/2, which has no fields of one connection.
fn in_both_versions(requests: Vec<Request>) -> impl Iterator<Item = (Request, bool)> {
    let both = requests.into_iter().flat_map(|request| [(request, false), (request, true)]);
    both.filter(|(request, http2)| !http2 || request.fields.iter().all(|(name, _)| *name != "connection"))
}

fn version(http2: bool) -> &'static str {
    if http2 { "HTTP/2" } else { "HTTP/1.1" }
}
