//! Measures admissions: `cargo run --release -p injector --example speed`.

use std::error::Error;
use std::time::{Duration, Instant};

use injector::{Facts, Settings, review};

const BODY: &str = r#"{
    "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
    "request": { "uid": "1", "namespace": "shop", "operation": "CREATE", "object": {
        "metadata": {
            "generateName": "web-6b7f-", "labels": { "app": "web", "version": "v2", "pod-template-hash": "6b7f" },
            "annotations": { "prometheus.io/port": "8080", "proxy.istio.io/config": "concurrency: 2" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6b7f", "controller": true }]
        },
        "spec": { "containers": [{
            "name": "app", "image": "web:2", "ports": [{ "name": "http", "containerPort": 8080 }],
            "livenessProbe": { "httpGet": { "path": "/live", "port": "http" } },
            "readinessProbe": { "httpGet": { "path": "/ready", "port": "http" } }
        }] }
    } }
}"#;

fn main() -> Result<(), Box<dyn Error>> {
    const ADMISSIONS: usize = 20_000;
    let settings = Settings::read("", "", Facts::default())?;
    let begin = Instant::now();
    let mut times = Vec::with_capacity(ADMISSIONS);
    for _ in 0..ADMISSIONS {
        let begin = Instant::now();
        review(&settings, "/inject", BODY.as_bytes())?;
        times.push(begin.elapsed());
    }
    let took = begin.elapsed();
    times.sort();
    let at = |part: usize| times.get(ADMISSIONS * part / 1000).copied().unwrap_or(Duration::ZERO);
    println!("{:.0} admissions/s on one core", ADMISSIONS as f64 / took.as_secs_f64());
    println!("p50 {:?}  p99 {:?}  p99.9 {:?}", at(500), at(990), at(999));
    Ok(())
}
