//! Reviews over several connections at once, as fast as they are answered or at a rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustls::ClientConfig;

use crate::caller::Caller;

/// Calls are made over so many connections.
pub(crate) const CONNECTIONS: usize = 8;

/// What was measured of some calls.
pub(crate) struct Measured {
    /// In the order of the reviews.
    pub(crate) answers: Vec<Vec<u8>>,
    /// How long each took, from the moment at which it was due; sorted.
    times: Vec<Duration>,
    /// How long all took.
    took: Duration,
    /// CPU time of istiod.
    pub(crate) cpu: Duration,
}

impl Measured {
    /// Calls a second.
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    /// Milliseconds of CPU time a call.
    pub(crate) fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e3 / self.times.len() as f64
    }

    /// Milliseconds within which so many of a hundred were answered.
    pub(crate) fn percentile(&self, part: f64) -> f64 {
        let index = (self.times.len() as f64 * part / 100.0) as usize;
        self.times.get(index.min(self.times.len() - 1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// Calls with each review once; at `rate` calls a second, if there is one.
pub(crate) fn run(
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
    name: &'static str,
    reviews: &[Vec<u8>],
    rate: Option<u32>,
) -> Result<Measured> {
    let callers = (0..CONNECTIONS).map(|_| Caller::connect(address, tls, name)).collect::<Result<Vec<_>>>()?;
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    let due = |index: usize| rate.map(|rate| start + Duration::from_secs(1) / rate * index as u32);
    let work = |mut caller: Caller| -> Result<Vec<(usize, Vec<u8>, Duration)>> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(review) = reviews.get(index) else { return Ok(done) };
            let due = due(index);
            if let Some(wait) = due.and_then(|due| due.checked_duration_since(Instant::now())) {
                std::thread::sleep(wait);
            }
            let due = due.unwrap_or_else(Instant::now);
            let answer = caller.post(review)?;
            done.push((index, answer, due.elapsed()));
        }
    };
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = callers.into_iter().map(|caller| scope.spawn(move || work(caller))).collect();
        let join =
            |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| anyhow!("a caller panicked"))?;
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let took = start.elapsed();
    let mut done: Vec<_> = done.into_iter().flatten().collect();
    done.sort_by_key(|(index, ..)| *index);
    let mut times: Vec<Duration> = done.iter().map(|(_, _, time)| *time).collect();
    times.sort();
    let answers = done.into_iter().map(|(_, answer, _)| answer).collect();
    Ok(Measured { answers, times, took, cpu: Duration::ZERO })
}
