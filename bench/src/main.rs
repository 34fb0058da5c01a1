//! Measurements beside HAProxy and Envoy, in one run: what one request costs a proxy in CPU time, and how many it carries.
//!
//! Each peer has one worker, pinned to one core; load and origin are on the other. Rounds are interleaved and medians
//! quoted, with the ratio to HAProxy, since the same machine is twice as fast on another day.

mod peers;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use peers::{Directory, Peer};

const ROUNDS: usize = 3;
const SECONDS: u64 = 4;
const CONNECTIONS: u32 = 64;

/// One run of one peer.
#[derive(Clone, Copy)]
struct Sample {
    micros: f64,
    rate: f64,
}

fn main() -> Result<()> {
    let directory = Directory::new()?;
    let _origin = directory.origin()?;
    let peers = directory.peers()?;
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); peers.len()];
    for round in 1..=ROUNDS {
        for (peer, samples) in peers.iter().zip(&mut samples) {
            let sample = measure(peer)?;
            println!(
                "round {round}: {:<10} {:6.1} µs/request {:8.0} requests/s",
                peer.name, sample.micros, sample.rate
            );
            samples.push(sample);
        }
    }
    println!("\n| plaintext HTTP/1.1 hop | CPU µs/request | requests/s | ratio to HAProxy |\n|---|---|---|---|");
    let base = median(samples[0].iter().map(|sample| sample.micros));
    for (peer, samples) in peers.iter().zip(&samples) {
        let (micros, rate) = (median(samples.iter().map(|one| one.micros)), median(samples.iter().map(|one| one.rate)));
        println!("| {} | {micros:.1} | {rate:.0} | {:.2} |", peer.name, micros / base);
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Loads a peer for some seconds.
fn measure(peer: &Peer) -> Result<Sample> {
    load(peer, Duration::from_secs(1))?;
    let before = peer.cpu()?;
    let requests = load(peer, Duration::from_secs(SECONDS))?;
    let spent = peer.cpu()? - before;
    Ok(Sample { micros: spent.as_secs_f64() * 1e6 / requests, rate: requests / SECONDS as f64 })
}

/// How many requests were answered; a wrong answer ends the measurement.
fn load(peer: &Peer, duration: Duration) -> Result<f64> {
    let output = Command::new("taskset")
        .args(["-c", "1", "wrk", "-t1", &format!("-c{CONNECTIONS}"), &format!("-d{}s", duration.as_secs())])
        .args(["-H", "Host: origin.example.com", &format!("http://127.0.0.1:{}/", peer.port)])
        .output()
        .context("wrk")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || text.contains("Non-2xx") || text.contains("Socket errors") {
        bail!("{} does not answer as it should:\n{text}", peer.name);
    }
    let line = text.lines().find(|line| line.contains("requests in")).context("wrk says nothing of requests")?;
    let number = line.split_whitespace().next().context("wrk says no number")?;
    number.parse().context("wrk says no number")
}
