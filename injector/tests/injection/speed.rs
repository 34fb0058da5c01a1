//! The budget: 500 admissions a second on one core, 99 of 100 within 5 ms. The bound is ten times that, so that a busy
//! machine and an unoptimised build pass; `cargo run --release -p injector --example speed` measures.

use std::time::{Duration, Instant};

use injector::{Outcome, review};
use serde_json::json;

use crate::golden;
use crate::tools::settings;

#[test]
fn admissions_are_fast() {
    let settings = settings(json!({}));
    let (_, case) = golden::cases().find(|(name, _)| *name == "probes").unwrap();
    let request = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": { "uid": "1", "namespace": "shop", "operation": "CREATE", "object": case.pod },
    });
    let body = request.to_string();
    let mut times: Vec<Duration> = (0..500)
        .map(|_| {
            let begin = Instant::now();
            let review = review(&settings, "/inject", body.as_bytes()).unwrap();
            assert!(matches!(review.outcome, Outcome::Injected(_)));
            begin.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[495] < Duration::from_millis(50), "99 of 100 within {:?}", times[495]);
    assert!(times.iter().sum::<Duration>() < Duration::from_secs(10));
}
