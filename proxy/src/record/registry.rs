//! Istio's standard metrics: one set of series a worker, summed when somebody asks.

use std::fmt::Write;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

/// Upper bounds of the buckets, as Envoy has them: milliseconds or bytes.
const BOUNDS: [f64; 19] =
    [0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6];

/// A metric and where its value stands in a series.
type Named<S, V> = (&'static str, fn(&S) -> V);

/// All workers' series. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    shards: Arc<Mutex<Vec<Shard>>>,
}

/// One worker's series; its lock is only ever contended while metrics are read.
pub(super) type Shard = Arc<Mutex<Series>>;

#[derive(Default)]
pub(super) struct Series {
    requests: Table<RequestSeries>,
    connections: Table<TcpSeries>,
}

/// Series of a worker are no more: labels tell of what callers and endpoints say, and nobody fills our memory with them.
const MOST: usize = 10_000;
/// The labels of what comes after.
const OVERFLOW: &str = "overflow=\"true\"";

/// Series, and where they are by their labels.
#[derive(Default)]
struct Table<T> {
    rows: Vec<(Arc<str>, T)>,
    places: HashMap<Arc<str>, usize>,
}

impl<T: Default> Table<T> {
    /// The place of a series, made if it is new.
    fn place(&mut self, labels: &str) -> usize {
        if let Some(place) = self.places.get(labels) {
            return *place;
        }
        if self.rows.len() >= MOST && labels != OVERFLOW {
            return self.place(OVERFLOW);
        }
        let (labels, place): (Arc<str>, usize) = (labels.into(), self.rows.len());
        self.rows.push((labels.clone(), T::default()));
        self.places.insert(labels, place);
        place
    }
}

/// What is counted of requests with the same labels.
#[derive(Clone, Default)]
pub(super) struct RequestSeries {
    count: u64,
    duration: Histogram,
    received: Histogram,
    sent: Histogram,
}

/// What is counted of connections with the same labels.
#[derive(Clone, Default)]
pub(super) struct TcpSeries {
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
}

#[derive(Clone, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Registry {
    pub(super) fn shard(&self) -> Shard {
        let shard = Shard::default();
        self.shards.lock().push(shard.clone());
        shard
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut requests: HashMap<Arc<str>, RequestSeries> = HashMap::new();
        let mut connections: HashMap<Arc<str>, TcpSeries> = HashMap::new();
        for shard in self.shards.lock().iter() {
            let series = shard.lock();
            series.requests.rows.iter().for_each(|(labels, one)| requests.entry(labels.clone()).or_default().add(one));
            let rows = series.connections.rows.iter();
            rows.for_each(|(labels, one)| connections.entry(labels.clone()).or_default().add(one));
        }
        let mut text = String::new();
        let mut requests: Vec<_> = requests.into_iter().collect();
        requests.sort_by(|one, other| one.0.cmp(&other.0));
        let mut connections: Vec<_> = connections.into_iter().collect();
        connections.sort_by(|one, other| one.0.cmp(&other.0));
        counter(&mut text, "istio_requests_total", requests.iter().map(|(labels, one)| (labels, one.count)));
        type Pick = fn(&RequestSeries) -> &Histogram;
        let histograms: [(&str, Pick); 3] = [
            ("istio_request_duration_milliseconds", |one| &one.duration),
            ("istio_request_bytes", |one| &one.received),
            ("istio_response_bytes", |one| &one.sent),
        ];
        for (name, which) in histograms {
            let _ = writeln!(text, "# TYPE {name} histogram");
            requests.iter().for_each(|(labels, one)| which(one).render(&mut text, name, labels));
        }
        let tcp: [Named<TcpSeries, u64>; 4] = [
            ("istio_tcp_connections_opened_total", |one| one.opened),
            ("istio_tcp_connections_closed_total", |one| one.closed),
            ("istio_tcp_received_bytes_total", |one| one.received),
            ("istio_tcp_sent_bytes_total", |one| one.sent),
        ];
        for (name, which) in tcp {
            counter(&mut text, name, connections.iter().map(|(labels, one)| (labels, which(one))));
        }
        text
    }
}

impl Series {
    /// The place of a series of requests, made if it is new.
    pub(super) fn requests_of(&mut self, labels: &str) -> usize {
        self.requests.place(labels)
    }

    /// The place of a series of connections, made if it is new.
    pub(super) fn connections_of(&mut self, labels: &str) -> usize {
        self.connections.place(labels)
    }

    pub(super) fn request(&mut self, place: usize, millis: f64, received: u64, sent: u64) {
        if let Some((_, series)) = self.requests.rows.get_mut(place) {
            series.count += 1;
            series.duration.observe(millis);
            series.received.observe(received as f64);
            series.sent.observe(sent as f64);
        }
    }

    pub(super) fn connection(&mut self, place: usize, change: impl FnOnce(&mut TcpSeries)) {
        if let Some((_, series)) = self.connections.rows.get_mut(place) {
            change(series);
        }
    }
}

impl RequestSeries {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.duration.add(&other.duration);
        self.received.add(&other.received);
        self.sent.add(&other.sent);
    }
}

impl TcpSeries {
    fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.received += other.received;
        self.sent += other.sent;
    }
}

impl Histogram {
    fn observe(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        if let Some(bucket) = self.buckets.get_mut(BOUNDS.partition_point(|bound| *bound < value)) {
            *bucket += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(own, other)| *own += other);
        self.count += other.count;
        self.sum += other.sum;
    }

    fn render(&self, text: &mut String, name: &str, labels: &str) {
        let mut below = 0;
        // Writing to a String cannot fail.
        for (bound, count) in BOUNDS.iter().zip(&self.buckets) {
            below += count;
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", self.count);
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}", self.sum);
        let _ = writeln!(text, "{name}_count{{{labels}}} {}", self.count);
    }
}

fn counter<'a>(text: &mut String, name: &str, values: impl Iterator<Item = (&'a Arc<str>, u64)>) {
    let _ = writeln!(text, "# TYPE {name} counter");
    values.for_each(|(labels, value)| {
        let _ = writeln!(text, "{name}{{{labels}}} {value}");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_have_an_end() {
        let registry = Registry::default();
        let shard = registry.shard();
        for number in 0..MOST + 10 {
            let place = shard.lock().connections_of(&format!("n=\"{number}\""));
            shard.lock().connection(place, |series| series.opened += 1);
        }
        let text = registry.render();
        assert!(text.contains("istio_tcp_connections_opened_total{n=\"9999\"} 1\n"));
        assert!(text.contains("istio_tcp_connections_opened_total{overflow=\"true\"} 10\n"));
        assert_eq!(shard.lock().connections_of("n=\"7\""), 7, "those that are known stay");
    }
}
