//! Timeouts, retries, fault injection and circuit breaking.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use http::StatusCode;

use super::traffic::{LIVE, reviews};
use crate::client::Answer;
use crate::mesh::Mesh;
use crate::shop::Role;
use crate::story::eventually;

/// The file in which `ratings` is configured.
const RATINGS: &str = "42-ratings.yaml";

fn count(answers: &[Answer], status: StatusCode) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

pub(super) fn timeout(mesh: &mut Mesh) -> Result<String> {
    mesh.apply(RATINGS, include_str!("../../yaml/ratings-timeout.yaml"))?;
    let client = mesh.get("client")?.pod();
    let slow = mesh.call(Role::Ratings, "/slow/2000");
    let live = eventually(LIVE, || match slow.from(client)? {
        answer if answer.status == StatusCode::GATEWAY_TIMEOUT => Ok(()),
        answer => bail!("the slow call got {}", answer.status),
    })?;
    let late = slow.from(client)?;
    ensure!(late.status == StatusCode::GATEWAY_TIMEOUT, "the slow call got {}", late.status);
    let bounds = Duration::from_millis(290)..Duration::from_millis(600);
    ensure!(bounds.contains(&late.took), "the slow call ended after {:.0?}", late.took);
    let quick = mesh.call(Role::Ratings, "/slow/100").from(client)?;
    ensure!(quick.status == StatusCode::OK, "the quick call got {}", quick.status);
    mesh.remove(RATINGS)?;
    Ok(format!("504 after {:.0?}; 200 after {:.0?}; live after {live:.1?}", late.took, quick.took))
}

pub(super) fn retries(mesh: &mut Mesh) -> Result<String> {
    let client = mesh.get("client")?.pod();
    let call = mesh.call(Role::Ratings, "/ratings/0");
    mesh.get("ratings-v2")?.set_sick(true)?;
    let failing = eventually(LIVE, || {
        let failed = count(&call.repeat_from(client, 40)?, StatusCode::INTERNAL_SERVER_ERROR);
        ensure!(failed > 0, "no call fails without retries");
        Ok(())
    });
    mesh.apply(RATINGS, include_str!("../../yaml/ratings-retries.yaml"))?;
    let live = eventually(LIVE, || {
        let failed = count(&call.repeat_from(client, 40)?, StatusCode::INTERNAL_SERVER_ERROR);
        ensure!(failed == 0, "{failed} of 40 calls fail");
        Ok(())
    });
    let answers = call.repeat_from(client, 300);
    mesh.get("ratings-v2")?.set_sick(false)?;
    mesh.remove(RATINGS)?;
    failing?;
    let (live, succeeded) = (live?, count(&answers?, StatusCode::OK));
    ensure!(succeeded == 300, "{} of 300 calls failed", 300 - succeeded);
    Ok(format!("300 of 300 succeeded; live after {live:.1?}"))
}

pub(super) fn fault_injection(mesh: &mut Mesh) -> Result<String> {
    mesh.apply(RATINGS, include_str!("../../yaml/ratings-fault.yaml"))?;
    let client = mesh.get("client")?.pod();
    let call = mesh.call(Role::Ratings, "/ratings/0");
    let live = eventually(LIVE, || {
        ensure!(count(&call.repeat_from(client, 20)?, StatusCode::IM_A_TEAPOT) > 0, "no call gets 418");
        Ok(())
    })?;
    let aborted = count(&call.repeat_from(client, 1000)?, StatusCode::IM_A_TEAPOT);
    ensure!((430..=570).contains(&aborted), "{aborted} of 1,000 calls got 418");
    let delayed = call.clone().header("end-user", "jason").from(client)?;
    let bounds = Duration::from_millis(395)..Duration::from_millis(800);
    ensure!(delayed.status == StatusCode::OK && bounds.contains(&delayed.took), "jason waited {:.0?}", delayed.took);
    mesh.remove(RATINGS)?;
    Ok(format!("{aborted} of 1,000 got 418; jason waited {:.0?}; live after {live:.1?}", delayed.took))
}

/// As `reviews-breaker.yaml` says.
const FAILURES_IN_A_ROW: usize = 3;
/// The same of the ejection.
const EJECTION_SECONDS: usize = 2;

pub(super) fn circuit_breaker(mesh: &mut Mesh) -> Result<String> {
    mesh.apply("40-reviews.yaml", include_str!("../../yaml/reviews-breaker.yaml"))?;
    let client = mesh.get("client")?.pod();
    let sick = mesh.get("reviews-v2")?;
    let live = eventually(LIVE, || {
        // So many that they come in turn by the rule, and not by chance before it is there.
        let counts = super::traffic::versions(&reviews(mesh).repeat_from(client, 90)?)?;
        ensure!(counts.values().all(|count| *count == 30), "not in turn: {}", super::traffic::show(&counts));
        Ok(())
    })?;
    sick.set_sick(true)?;
    let start = Instant::now();
    let answers = reviews(mesh).repeat_from(client, 150);
    let took = start.elapsed();
    sick.set_sick(false)?;
    let answers = answers?;
    let failed = count(&answers, StatusCode::INTERNAL_SERVER_ERROR);
    // Each time that its ejection is over it is tried anew.
    let most = (1 + took.as_secs() as usize / EJECTION_SECONDS) * FAILURES_IN_A_ROW;
    ensure!((1..=most).contains(&failed), "{failed} of 150 calls in {took:.1?} reached the sick instance");
    let back = eventually(LIVE, || {
        let counts = super::traffic::versions(&reviews(mesh).repeat_from(client, 9)?)?;
        ensure!(counts.contains_key("v2"), "v2 is still left out");
        Ok(())
    })?;
    mesh.remove("40-reviews.yaml")?;
    Ok(format!("{failed} of 150 calls failed before it opened; back in {back:.1?} once well; live after {live:.1?}"))
}
