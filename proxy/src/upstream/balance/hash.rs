//! Consistent hashing: a request's hash leads to the same host for as long as it is there, and when hosts come or go
//! few others move.

use std::rc::Rc;

use xxhash_rust::xxh64::xxh64;

use crate::upstream::Host;

/// A place for every hash.
pub(super) enum Table {
    /// Points on a ring, sorted, each with its host (Envoy's `RING_HASH`).
    Ring(Vec<(u64, usize)>),
    /// Hosts by `hash % size` (Maglev, Eisenbud et al. 2016, section 3.4).
    Maglev(Vec<usize>),
}

/// More points than this cost memory and buy nothing (Envoy's own limit is 8 M).
const MOST_POINTS: u64 = 1 << 20;

impl Table {
    /// Points by weight: as few as give the lightest host one whole point, within the bounds.
    pub(super) fn ring(hosts: &[Rc<Host>], minimum: u64, maximum: u64) -> Self {
        let sum: f64 = hosts.iter().map(|host| weight(host)).sum();
        let lightest = hosts.iter().map(|host| weight(host) / sum).fold(f64::INFINITY, f64::min);
        if !lightest.is_finite() {
            return Self::Ring(Vec::new());
        }
        let maximum = maximum.min(MOST_POINTS);
        let scale = ((lightest * minimum as f64).ceil() / lightest).min(maximum as f64);
        let mut points = Vec::with_capacity(scale as usize + hosts.len());
        for (index, host) in hosts.iter().enumerate() {
            let count = (weight(host) / sum * scale).ceil() as u64;
            let address = host.endpoint.address.to_string();
            points.extend((0..count).map(|point| (xxh64(format!("{address}_{point}").as_bytes(), 0), index)));
        }
        points.sort_unstable();
        Self::Ring(points)
    }

    /// Each host in turn takes the next free slot of its own permutation; heavier ones take more turns.
    pub(super) fn maglev(hosts: &[Rc<Host>], size: u64) -> Self {
        let size = size.clamp(1, MOST_POINTS);
        let heaviest = hosts.iter().map(|host| weight(host)).fold(0.0, f64::max);
        let mut walks: Vec<Walk> = hosts.iter().map(|host| Walk::new(host, size)).collect();
        let mut slots = vec![usize::MAX; size as usize];
        let (mut filled, mut round) = (0, 0.0);
        while filled < slots.len() && !walks.is_empty() {
            round += 1.0;
            for (index, walk) in walks.iter_mut().enumerate() {
                if round * weight(&hosts[index]) < walk.due {
                    continue;
                }
                walk.due += heaviest;
                let Some(slot) = walk.find(|slot| slots[*slot] == usize::MAX) else { continue };
                slots[slot] = index;
                filled += 1;
                if filled == slots.len() {
                    break;
                }
            }
        }
        Self::Maglev(slots)
    }

    /// The host of a hash; 0 if there is none.
    pub(super) fn host_of(&self, hash: u64) -> usize {
        match self {
            Self::Ring(points) => {
                let at = points.partition_point(|(point, _)| *point < hash);
                points.get(at).or_else(|| points.first()).map_or(0, |(_, host)| *host)
            }
            Self::Maglev(slots) => slots.get((hash % slots.len() as u64) as usize).copied().unwrap_or(0),
        }
    }
}

/// A host's permutation of the slots: the size is a prime, so that every step width meets every slot.
struct Walk {
    next: u64,
    skip: u64,
    size: u64,
    left: u64,
    due: f64,
}

impl Walk {
    fn new(host: &Host, size: u64) -> Self {
        let address = host.endpoint.address.to_string();
        let skip = if size > 1 { xxh64(address.as_bytes(), 1) % (size - 1) + 1 } else { 1 };
        Self { next: xxh64(address.as_bytes(), 0) % size, skip, size, left: size, due: 0.0 }
    }
}

impl Iterator for Walk {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let slot = self.next;
        self.next = (self.next + self.skip) % self.size;
        Some(slot as usize)
    }
}

fn weight(host: &Host) -> f64 {
    f64::from(host.endpoint.weight.max(1))
}
