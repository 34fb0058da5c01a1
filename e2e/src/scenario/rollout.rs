//! Pods that are replaced under load.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::traffic::{LIVE, reviews};
use crate::client::{Load, Tally};
use crate::mesh::Mesh;
use crate::place::{Ask, Caller, Place};
use crate::shop::Role;
use crate::story::eventually;

/// Calls a second of each method.
const RATE: u32 = 250;

pub(super) fn rolling(mesh: &mut Mesh) -> Result<String> {
    restart_all(mesh, 1)
}

/// Replaces every instance of `reviews`, one after the other, so many times, while it is called.
pub fn restart_all(mesh: &mut Mesh, times: usize) -> Result<String> {
    let client = mesh.get("client")?.pod();
    let order = Ask::service(Role::Reviews, "/echo").post(r#"{"order":1}"#);
    let (gets, posts) = (mesh.call(&reviews())?, mesh.call(&order)?);
    let loads = [Load::start(client, gets, RATE), Load::start(client, posts, RATE)];
    let mut slowest = Duration::ZERO;
    for _ in 0..times {
        for name in ["reviews-v1", "reviews-v2", "reviews-v3"] {
            let start = std::time::Instant::now();
            mesh.roll(name).with_context(|| format!("replacing {name}"))?;
            // The next goes once this one has its share again.
            eventually(LIVE, || {
                let answer = mesh.ask_once(Caller::Client, &reviews())?;
                ensure!(answer.json()["pod"] == name, "{name} gets no calls");
                Ok(())
            })?;
            slowest = slowest.max(start.elapsed());
        }
    }
    let [gets, posts] = loads.map(Load::stop);
    whole("GET", &gets)?;
    whole("POST", &posts)?;
    Ok(format!(
        "{} restarts; {} GETs and {} POSTs, 0 failed; the slowest took {slowest:.1?}",
        3 * times,
        gets.succeeded,
        posts.succeeded
    ))
}

fn whole(method: &str, tally: &Tally) -> Result<()> {
    let failures = &tally.failures;
    ensure!(
        failures.is_empty(),
        "{} of {} {method}s failed, such as: {}",
        failures.len(),
        tally.succeeded,
        failures[0]
    );
    ensure!(tally.succeeded > 0, "no {method} was made");
    Ok(())
}
