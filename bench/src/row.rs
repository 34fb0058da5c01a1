//! The rows of the table: what is done, by whom, and what is promised.

mod bulk;
mod clusters;
mod fixed;
mod handshake;
mod memory;
mod requests;
mod size;
mod start;

use std::time::Duration;

use anyhow::{Context, Result};

use crate::figure::{Figure, Series};
use crate::pair::Pair;
use crate::peer::Peer;
use crate::site::Site;

/// A row, which may have several figures.
pub(crate) struct Row {
    /// As users ask for it.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) measure: fn(&Site) -> Result<Vec<Figure>>,
}

/// All rows, in the order in which they are measured.
pub(crate) const ALL: &[Row] = &[
    Row { name: "plain", about: "one plaintext HTTP/1.1 hop", measure: requests::plain },
    Row { name: "http1", about: "mTLS pair, HTTP/1.1 client, HTTP/1.1 between", measure: requests::http1 },
    Row { name: "http2", about: "mTLS pair, HTTP/1.1 client, HTTP/2 between", measure: requests::http2 },
    Row { name: "grpc", about: "mTLS pair, gRPC", measure: requests::grpc },
    Row { name: "tcp", about: "L4 mTLS pair carrying keep-alive HTTP", measure: requests::tcp },
    Row { name: "churn", about: "new client connection per request, L7 pair", measure: requests::churn },
    Row { name: "churn-tcp", about: "new client connection per request, L4 pair", measure: requests::churn_tcp },
    Row { name: "handshake", about: "full mTLS handshakes at the server", measure: handshake::measure },
    Row { name: "bulk", about: "bytes through the mTLS pair", measure: bulk::measure },
    Row { name: "fixed", about: "mTLS pair at a fixed 2,000 requests/s", measure: fixed::measure },
    Row { name: "memory", about: "memory idle, with connections, and after them", measure: memory::measure },
    Row { name: "clusters", about: "10,000 clusters configured", measure: clusters::measure },
    Row { name: "start", about: "start to listening", measure: start::measure },
    Row { name: "size", about: "size of the binary", measure: size::measure },
];

/// A load before it is measured: connections are opened, pools filled, code warm.
const WARM: Duration = Duration::from_secs(1);
/// A measured load.
const LASTING: Duration = Duration::from_secs(2);

/// Measures everybody once a round, in turn; the samples are by contender.
fn rounds<C, T>(count: u8, contenders: &[C], mut sample: impl FnMut(&C) -> Result<T>) -> Result<Vec<Vec<T>>> {
    let mut samples: Vec<Vec<T>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..count {
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            samples.push(sample(contender)?);
        }
    }
    Ok(samples)
}

/// The same for pairs, with their names on failures and samples.
fn series(site: &Site, pairs: &[Pair], mut sample: impl FnMut(&Pair) -> Result<f64>) -> Result<Vec<Series>> {
    let samples = rounds(site.rounds, pairs, |pair| sample(pair).with_context(|| pair.state()))?;
    Ok(labelled(pairs.iter().map(|pair| pair.peer), samples))
}

fn labelled(peers: impl IntoIterator<Item = Peer>, samples: Vec<Vec<f64>>) -> Vec<Series> {
    peers.into_iter().zip(samples).map(|(peer, samples)| Series { peer, samples }).collect()
}

/// CPU time of the pairs in µs for each request that a load had answered.
fn micros(site: &Site, pairs: &[Pair], load: impl Fn(&Pair, Duration) -> Result<f64>) -> Result<Vec<Series>> {
    pairs.iter().try_for_each(|pair| load(pair, WARM).map(drop).with_context(|| pair.state()))?;
    series(site, pairs, |pair| {
        let before = pair.cpu()?;
        let answered = load(pair, LASTING)?;
        Ok((pair.cpu()? - before).as_secs_f64() * 1e6 / answered)
    })
}
