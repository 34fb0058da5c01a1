//! Timeouts, retries, fault injection and circuit breaking.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use http::StatusCode;

use super::traffic::{LIVE, reviews};
use crate::client::Answer;
use crate::place::{Ask, Caller, Place};
use crate::shop::Role;
use crate::story::eventually;

/// The file in which `ratings` is configured.
const RATINGS: &str = "42-ratings.yaml";

fn count(answers: &[Answer], status: StatusCode) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

pub(super) fn timeout(place: &dyn Place) -> Result<String> {
    place.apply(RATINGS, include_str!("../../yaml/ratings-timeout.yaml"))?;
    let slow = Ask::service(Role::Ratings, "/slow/2000");
    let live = eventually(LIVE, || match place.ask_once(Caller::Client, &slow)? {
        answer if answer.status == StatusCode::GATEWAY_TIMEOUT => Ok(()),
        answer => bail!("the slow call got {}", answer.status),
    })?;
    let late = place.ask_once(Caller::Client, &slow)?;
    ensure!(late.status == StatusCode::GATEWAY_TIMEOUT, "the slow call got {}", late.status);
    let bounds = Duration::from_millis(290)..Duration::from_millis(600);
    ensure!(bounds.contains(&late.took), "the slow call ended after {:.0?}", late.took);
    let quick = place.ask_once(Caller::Client, &Ask::service(Role::Ratings, "/slow/100"))?;
    ensure!(quick.status == StatusCode::OK, "the quick call got {}", quick.status);
    place.remove(RATINGS)?;
    Ok(format!("504 after {:.0?}; 200 after {:.0?}; live after {live:.1?}", late.took, quick.took))
}

pub(super) fn retries(place: &dyn Place) -> Result<String> {
    let call = Ask::service(Role::Ratings, "/ratings/0");
    place.set_sick("ratings-v2", true)?;
    let failing = eventually(LIVE, || {
        let failed = count(&place.ask(Caller::Client, &call, 40)?, StatusCode::INTERNAL_SERVER_ERROR);
        ensure!(failed > 0, "no call fails without retries");
        Ok(())
    });
    place.apply(RATINGS, include_str!("../../yaml/ratings-retries.yaml"))?;
    let live = eventually(LIVE, || {
        let failed = count(&place.ask(Caller::Client, &call, 40)?, StatusCode::INTERNAL_SERVER_ERROR);
        ensure!(failed == 0, "{failed} of 40 calls fail");
        Ok(())
    });
    let answers = place.ask(Caller::Client, &call, 300);
    place.set_sick("ratings-v2", false)?;
    place.remove(RATINGS)?;
    failing?;
    let (live, succeeded) = (live?, count(&answers?, StatusCode::OK));
    ensure!(succeeded == 300, "{} of 300 calls failed", 300 - succeeded);
    Ok(format!("300 of 300 succeeded; live after {live:.1?}"))
}

pub(super) fn fault_injection(place: &dyn Place) -> Result<String> {
    place.apply(RATINGS, include_str!("../../yaml/ratings-fault.yaml"))?;
    let call = Ask::service(Role::Ratings, "/ratings/0");
    let live = eventually(LIVE, || {
        ensure!(count(&place.ask(Caller::Client, &call, 20)?, StatusCode::IM_A_TEAPOT) > 0, "no call gets 418");
        Ok(())
    })?;
    let aborted = count(&place.ask(Caller::Client, &call, 1000)?, StatusCode::IM_A_TEAPOT);
    ensure!((430..=570).contains(&aborted), "{aborted} of 1,000 calls got 418");
    let delayed = place.ask_once(Caller::Client, &call.clone().header("end-user", "jason"))?;
    let bounds = Duration::from_millis(395)..Duration::from_millis(800);
    ensure!(delayed.status == StatusCode::OK && bounds.contains(&delayed.took), "jason waited {:.0?}", delayed.took);
    place.remove(RATINGS)?;
    Ok(format!("{aborted} of 1,000 got 418; jason waited {:.0?}; live after {live:.1?}", delayed.took))
}

/// As `reviews-breaker.yaml` says.
const FAILURES_IN_A_ROW: usize = 3;
/// The same of the ejection.
const EJECTION_SECONDS: usize = 2;

pub(super) fn circuit_breaker(place: &dyn Place) -> Result<String> {
    place.apply("40-reviews.yaml", include_str!("../../yaml/reviews-breaker.yaml"))?;
    let live = eventually(LIVE, || {
        // So many that they come in turn by the rule, and not by chance before it is there.
        let counts = super::traffic::versions(&place.ask(Caller::Client, &reviews(), 90)?)?;
        ensure!(counts.values().all(|count| *count == 30), "not in turn: {}", super::traffic::show(&counts));
        Ok(())
    })?;
    place.set_sick("reviews-v2", true)?;
    let start = Instant::now();
    let answers = place.ask(Caller::Client, &reviews(), 150);
    let took = start.elapsed();
    place.set_sick("reviews-v2", false)?;
    let answers = answers?;
    let failed = count(&answers, StatusCode::INTERNAL_SERVER_ERROR);
    // Each time that its ejection is over it is tried anew.
    let most = (1 + took.as_secs() as usize / EJECTION_SECONDS) * FAILURES_IN_A_ROW;
    ensure!((1..=most).contains(&failed), "{failed} of 150 calls in {took:.1?} reached the sick instance");
    let back = eventually(LIVE, || {
        let counts = super::traffic::versions(&place.ask(Caller::Client, &reviews(), 9)?)?;
        ensure!(counts.contains_key("v2"), "v2 is still left out");
        Ok(())
    })?;
    place.remove("40-reviews.yaml")?;
    Ok(format!("{failed} of 150 calls failed before it opened; back in {back:.1?} once well; live after {live:.1?}"))
}
