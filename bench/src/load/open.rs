//! Requests at a fixed rate, whatever becomes of those before: latency counts from the moment at which a request was due.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{CONNECTIONS, in_parallel};
use crate::http::{self, Connection};
use crate::peer::Target;

/// The latencies of a run, in order of size.
pub(crate) struct Latencies(Vec<Duration>);

/// Asks `rate` times a second in all. Each connection has its turn once in a round, evenly spread.
pub(crate) fn run(target: Target, rate: u32, lasting: Duration) -> Result<Latencies> {
    let request = http::get(target.authority);
    let between = Duration::from_secs(1) / rate;
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::new(http::connect(target.address)?);
        connection.ask_well(request.as_bytes())?;
        streams.push(std::sync::Mutex::new(connection));
    }
    // Threads start before the first request is due.
    let start = Instant::now() + Duration::from_millis(50);
    let lane = |index: usize| {
        let mut latencies = Vec::new();
        let mut connection = streams[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut due = start + between * index as u32;
        while due < start + lasting {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            connection.ask_well(request.as_bytes())?;
            latencies.push(due.elapsed());
            let round = between * CONNECTIONS as u32;
            due += round;
        }
        Ok(latencies)
    };
    let mut all = in_parallel(CONNECTIONS, lane)?.concat();
    all.sort_unstable();
    Ok(Latencies(all))
}

impl Latencies {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The latency that so many hundredths of the requests do not exceed, in milliseconds.
    pub(crate) fn percentile(&self, hundredths: usize) -> f64 {
        let at = (self.0.len() * hundredths / 100).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all() {
        let latencies = Latencies((1..=100).map(Duration::from_millis).collect());
        assert_eq!(latencies.percentile(50), 51.0);
        assert_eq!(latencies.percentile(99), 100.0);
        assert!(Latencies(Vec::new()).percentile(99).is_nan());
    }
}
