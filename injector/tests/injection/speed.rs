//! The budget: 500 admissions a second on one core, 99 of 100 within 5 ms. What counts here is the processor's time, so
//! that a busy machine changes nothing, and the bound is twice the budget, since this build is hardly optimised;
//! `cargo run --release -p injector --example speed` measures.

use std::time::Duration;

use injector::{Outcome, review};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::golden;
use crate::tools::{outcome, pod, settings};

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

#[test]
fn the_largest_pods_cost_no_more_than_their_size() {
    // The API server takes three megabytes, and annotations of a quarter of one.
    const MANY: usize = 100_000;
    let list = |make: &dyn Fn(usize) -> Value| -> Value { (0..MANY).map(make).collect() };
    let text = |part: &dyn Fn(usize) -> String, count: usize| (0..count).map(part).collect::<String>();
    let with = |pointer: &str, name: &str, value: Value| {
        let mut pod = pod(json!({}));
        pod.pointer_mut(pointer).unwrap()[name] = value;
        pod
    };
    let proxy = |field: &str, value: Value| {
        let mut pod = pod(json!({}));
        pod["spec"]["containers"].as_array_mut().unwrap().push(json!({ "name": "istio-proxy", field: value }));
        pod
    };
    let unknown: Value =
        (0..10_000).map(|i| (format!("sidecar.istio.io/{i}"), "x".into())).collect::<serde_json::Map<_, _>>().into();
    let metadata = text(&|i| format!("\n  A{i}: x"), 20_000);
    let ports = text(&|i| format!("{},", i % 60_000 + 1), 40_000);
    let unnamed = text(&|i| format!("\na{i}: x"), 20_000);
    let rows = [
        ("containers", with("/spec", "containers", list(&|i| json!({ "name": format!("c{i}") })))),
        ("init containers", with("/spec", "initContainers", list(&|i| json!({ "name": format!("c{i}") })))),
        ("one name", with("/spec", "containers", list(&|_| json!({ "name": "c" })))),
        ("volumes", with("/spec", "volumes", list(&|i| json!({ "name": format!("v{i}") })))),
        ("variables", proxy("env", list(&|i| json!({ "name": format!("E{i}") })))),
        ("ports", proxy("ports", list(&|i| json!({ "containerPort": i })))),
        ("unknown annotations", pod(unknown)),
        ("metadata", pod(json!({ "proxy.istio.io/config": format!("proxyMetadata:{metadata}") }))),
        ("unknown fields", pod(json!({ "proxy.istio.io/config": unnamed }))),
        ("excluded ports", pod(json!({ "traffic.sidecar.istio.io/excludeInboundPorts": ports }))),
    ];
    let settings = settings(json!({}));
    for (what, pod) in rows {
        let begin = processor_time();
        let outcome = outcome(&settings, &pod);
        let took = processor_time() - begin;
        assert!(took < Duration::from_secs(5), "{what}: {took:?}");
        if let Outcome::Refused(refusal) = outcome {
            assert!(refusal.problems().len() <= 101, "{what}");
        }
    }
}
