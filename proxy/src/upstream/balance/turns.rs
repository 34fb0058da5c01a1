//! Round robin, by weight where weights differ.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Whose turn it is.
pub(super) struct Turns {
    next: usize,
    /// Earliest deadline first: a host's deadlines lie `1 / weight` apart. Empty if all weigh the same.
    deadlines: BinaryHeap<Reverse<(u64, usize)>>,
    weights: Vec<u32>,
}

/// Deadlines are counted in steps so fine that a weight of 2³² still moves.
const SCALE: u64 = 1 << 32;

impl Turns {
    /// Begins at a random place, so that the workers of a proxy do not all begin with the same host.
    pub(super) fn new(weights: &[u32]) -> Self {
        let first = weights.iter().enumerate().map(|(index, weight)| Reverse((fastrand::u64(..=step(*weight)), index)));
        Self { next: fastrand::usize(..1 << 16), deadlines: first.collect(), weights: weights.to_vec() }
    }

    /// An index below `count`, which must be the number of hosts and at least 1.
    pub(super) fn next(&mut self, count: usize) -> usize {
        if let Some(mut first) = self.deadlines.peek_mut() {
            let Reverse((deadline, index)) = *first;
            *first = Reverse((deadline + step(self.weights[index]), index));
            return index;
        }
        self.next = (self.next + 1) % count;
        self.next
    }
}

fn step(weight: u32) -> u64 {
    SCALE / u64::from(weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_the_weights() {
        let mut turns = Turns::new(&[1, 3]);
        let mut counts = [0; 2];
        (0..400).for_each(|_| counts[turns.next(2)] += 1);
        assert!((99..=101).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn equal_ones_take_turns() {
        let mut turns = Turns::new(&[]);
        let order: Vec<usize> = (0..6).map(|_| turns.next(3)).collect();
        assert_eq!(order[..3], order[3..]);
        assert_ne!(order[0], order[1]);
        assert_ne!(order[1], order[2]);
    }
}
