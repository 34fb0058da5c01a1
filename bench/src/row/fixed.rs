//! What a pair costs at a rate that it easily carries, and what it adds to latency.

use anyhow::{Context, Result, ensure};

use super::{WARM, labelled, rounds};
use crate::figure::{Figure, Promise};
use crate::load::open::{self, Latencies};
use crate::pair::Pair;
use crate::peer::{Peer, Target, Work};
use crate::site::Site;

const PEERS: [Peer; 3] = [Peer::Haproxy, Peer::Envoy, Peer::Weft];
/// Requests a second.
const RATE: u32 = 2000;
/// Tails need many requests.
const LASTING: std::time::Duration = std::time::Duration::from_secs(3);

/// What one run gives.
struct Sample {
    micros: f64,
    p50: f64,
    p99: f64,
}

pub(super) fn measure(site: &Site) -> Result<Vec<Figure>> {
    let pairs = Pair::all(site, &PEERS, Work::Http1)?;
    // Without a proxy: what is added counts from there.
    let contenders: Vec<Option<&Pair>> = std::iter::once(None).chain(pairs.iter().map(Some)).collect();
    let mut samples = rounds(site.rounds, &contenders, |pair| sample(site, *pair))?.into_iter();
    let direct = samples.next().context("the origin was measured")?;
    let samples: Vec<Vec<Sample>> = samples.collect();
    let figure = |work, unit, promise, value: &dyn Fn(&Sample, &Sample) -> f64| {
        let values =
            samples.iter().map(|samples| samples.iter().zip(&direct).map(|(one, base)| value(one, base)).collect());
        Figure { work, unit, series: labelled(PEERS, values.collect()), promise }
    };
    let promise = |must, aim| Promise::at_most(Peer::Haproxy, must, aim);
    Ok(vec![
        figure("mTLS pair at 2,000 requests/s", "CPU µs/request", promise(0.95, 0.7), &|one, _| one.micros),
        figure("… added p50", "ms", promise(1.0, 0.75), &|one, base| one.p50 - base.p50),
        figure("… added p99", "ms", promise(0.8, 0.5), &|one, base| one.p99 - base.p99),
    ])
}

fn sample(site: &Site, pair: Option<&Pair>) -> Result<Sample> {
    let load = |lasting| match pair {
        None => site.as_proxy(|| open::run(Target { address: site.direct(), authority: "origin" }, RATE, lasting)),
        Some(pair) => site.as_load(|| open::run(pair.target, RATE, lasting)),
    };
    let cpu = || pair.map_or(Ok(std::time::Duration::ZERO), Pair::cpu);
    let measured = || -> Result<(Latencies, std::time::Duration)> {
        load(WARM / 4)?;
        let before = cpu()?;
        let latencies = load(LASTING)?;
        Ok((latencies, cpu()? - before))
    };
    let (latencies, spent) = measured().with_context(|| pair.map_or("the origin alone".to_owned(), Pair::state))?;
    ensure!(latencies.count() > 0, "nothing was asked");
    let micros = spent.as_secs_f64() * 1e6 / latencies.count() as f64;
    Ok(Sample { micros, p50: latencies.percentile(50), p99: latencies.percentile(99) })
}
