//! What comes of measuring: samples by peer, and what is promised of them.

use crate::peer::Peer;

/// One line of the table.
pub(crate) struct Figure {
    /// What was done.
    pub(crate) work: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) series: Vec<Series>,
    pub(crate) promise: Option<Promise>,
}

/// The samples of one peer, one a round.
pub(crate) struct Series {
    pub(crate) peer: Peer,
    pub(crate) samples: Vec<f64>,
}

/// What we commit to, and what we mean to reach.
#[derive(Clone, Copy)]
pub(crate) struct Promise {
    pub(crate) measure: Measure,
    pub(crate) must: f64,
    pub(crate) aim: f64,
}

/// What is compared with the promise.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Measure {
    /// Our median over a peer's: at most so much.
    AtMost(Peer),
    /// Our median over a peer's: at least so much.
    AtLeast(Peer),
    /// Our median itself: at most so much.
    Absolute,
}

/// Median and spread of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Promise {
    pub(crate) fn at_most(peer: Peer, must: f64, aim: f64) -> Option<Self> {
        Some(Self { measure: Measure::AtMost(peer), must, aim })
    }

    pub(crate) fn at_least(peer: Peer, must: f64, aim: f64) -> Option<Self> {
        Some(Self { measure: Measure::AtLeast(peer), must, aim })
    }

    pub(crate) fn absolute(must: f64, aim: f64) -> Option<Self> {
        Some(Self { measure: Measure::Absolute, must, aim })
    }

    /// By how much a value misses a limit, as a part of the limit; nothing or less if it holds.
    fn excess(&self, value: f64, limit: f64) -> f64 {
        match self.measure {
            Measure::AtLeast(_) => (limit - value) / limit,
            Measure::AtMost(_) | Measure::Absolute => (value - limit) / limit,
        }
    }

    /// What is to be said of a value.
    pub(crate) fn verdict(&self, value: f64) -> String {
        let (must, aim) = (self.excess(value, self.must), self.excess(value, self.aim));
        match (must <= 0.0, aim <= 0.0) {
            (true, true) => "holds, and the aim".to_owned(),
            (true, false) => format!("holds; the aim is missed by {:.0} %", aim * 100.0),
            (false, _) => format!("MISSED by {:.0} %", must * 100.0),
        }
    }
}

impl Figure {
    /// Median and spread of a peer's samples, if it was measured.
    pub(crate) fn of(&self, peer: Peer) -> Option<Summary> {
        let samples = &self.series.iter().find(|series| series.peer == peer)?.samples;
        Summary::of(samples)
    }

    /// What is compared with the promise.
    pub(crate) fn value(&self) -> Option<f64> {
        let own = self.of(Peer::Weft)?.median;
        match self.promise?.measure {
            Measure::AtMost(peer) | Measure::AtLeast(peer) => Some(own / self.of(peer)?.median),
            Measure::Absolute => Some(own),
        }
    }

    pub(crate) fn verdict(&self) -> Option<String> {
        Some(self.promise?.verdict(self.value()?))
    }
}

impl Summary {
    fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = |at: usize| sorted.get(at).copied();
        // Of an even number the mean of the two in the middle.
        let middle = f64::midpoint(median(sorted.len().checked_sub(1)? / 2)?, median(sorted.len() / 2)?);
        Some(Self { median: middle, least: *sorted.first()?, most: *sorted.last()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        assert_eq!(Summary::of(&[3.0, 1.0, 2.0]), Some(Summary { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Summary::of(&[3.0, 1.0]), Some(Summary { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn verdicts_say_by_how_much() {
        let less = Promise { measure: Measure::AtMost(Peer::Haproxy), must: 0.8, aim: 0.5 };
        assert_eq!(less.verdict(0.4), "holds, and the aim");
        assert_eq!(less.verdict(0.6), "holds; the aim is missed by 20 %");
        assert_eq!(less.verdict(1.0), "MISSED by 25 %");
        let more = Promise { measure: Measure::AtLeast(Peer::Envoy), must: 1.0, aim: 1.25 };
        assert_eq!(more.verdict(1.0), "holds; the aim is missed by 20 %");
        assert_eq!(more.verdict(0.9), "MISSED by 10 %");
    }
}
