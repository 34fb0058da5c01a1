//! The budget: 500 admissions a second on one core, 99 of 100 within 5 ms. What counts here is the processor's time, so
//! that a busy machine changes nothing, and the bound is twice the budget, since this build is hardly optimised;
//! `cargo run --release -p injector --example speed` measures.

use std::time::Duration;

use injector::{Outcome, review};
use nix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::golden;
use crate::tools::settings;

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

#[test]
fn admissions_are_fast() {
    const ADMISSIONS: u32 = 500;
    let settings = settings(json!({}));
    let (_, case) = golden::cases().find(|(name, _)| *name == "probes").unwrap();
    let request = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": { "uid": "1", "namespace": "shop", "operation": "CREATE", "object": case.pod },
    });
    let body = request.to_string();
    let mut times: Vec<Duration> = (0..ADMISSIONS)
        .map(|_| {
            let begin = processor_time();
            let review = review(&settings, "/inject", body.as_bytes()).unwrap();
            assert!(matches!(review.outcome, Outcome::Injected(_)));
            processor_time() - begin
        })
        .collect();
    times.sort();
    let (p99, mean) = (times[495], times.iter().sum::<Duration>() / ADMISSIONS);
    assert!(p99 < Duration::from_millis(10), "99 of 100 within {p99:?}");
    assert!(mean < Duration::from_millis(4), "{mean:?} each");
}
