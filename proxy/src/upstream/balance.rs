//! Choosing one of a group of usable hosts.

mod hash;
mod turns;

use std::rc::Rc;

use super::host::Host;
use crate::model::{ConsistentHash, LbPolicy};

use hash::Table;
use turns::Turns;

/// Hosts that share a load, with what the cluster's policy needs to choose among them.
pub(super) struct Group {
    hosts: Vec<Rc<Host>>,
    /// Running sums of the weights; empty if all weigh the same.
    sums: Vec<u64>,
    turns: Turns,
    table: Option<Table>,
}

impl Group {
    pub(super) fn new(lb: &LbPolicy, hosts: Vec<Rc<Host>>) -> Self {
        let weights: Vec<u32> = hosts.iter().map(|host| host.endpoint.weight.max(1)).collect();
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let running = weights.iter().scan(0_u64, |sum, weight| {
            *sum += u64::from(*weight);
            Some(*sum)
        });
        let table = match lb {
            LbPolicy::Hash(ConsistentHash::Ring { minimum, maximum }) => Some(Table::ring(&hosts, *minimum, *maximum)),
            LbPolicy::Hash(ConsistentHash::Maglev(size)) => Some(Table::maglev(&hosts, *size)),
            _ => None,
        };
        Self {
            sums: if equal { Vec::new() } else { running.collect() },
            turns: Turns::new(if equal { &[] } else { &weights }),
            hosts,
            table,
        }
    }

    pub(super) fn hosts(&self) -> impl Iterator<Item = &Rc<Host>> {
        self.hosts.iter()
    }

    /// `None` only if the group is empty.
    pub(super) fn pick(&mut self, lb: &LbPolicy, hash: Option<u64>) -> Option<Rc<Host>> {
        let index = match (self.hosts.len(), lb, &self.table, hash) {
            (0, ..) => return None,
            (1, ..) => 0,
            (_, _, Some(table), Some(hash)) => table.host_of(hash),
            (count, LbPolicy::RoundRobin, ..) => self.turns.next(count),
            (_, LbPolicy::LeastRequest(choices), ..) => self.least_busy(*choices),
            _ => self.random(),
        };
        self.hosts.get(index).cloned()
    }

    fn random(&self) -> usize {
        match self.sums.last() {
            None => fastrand::usize(..self.hosts.len()),
            Some(sum) => {
                let at = fastrand::u64(..*sum);
                self.sums.partition_point(|sum| *sum <= at)
            }
        }
    }

    /// The less busy of some random ones, where a heavier host may be busier.
    fn least_busy(&self, choices: u32) -> usize {
        let first = self.random();
        let busier = |one: usize, other: usize| {
            let load = |index: usize| u64::from(self.hosts[index].active()) + 1;
            let weight = |index: usize| u64::from(self.hosts[index].endpoint.weight.max(1));
            // A host of twice the weight may carry twice the load.
            load(one) * weight(other) > load(other) * weight(one)
        };
        (1..choices.max(2)).fold(first, |best, _| {
            let other = self.other_than(best);
            if busier(best, other) { other } else { best }
        })
    }

    /// Two equal choices would be no choice: one more draw is spent to differ, without a loop.
    fn other_than(&self, index: usize) -> usize {
        let other = self.random();
        if other == index { (other + 1 + fastrand::usize(..self.hosts.len() - 1)) % self.hosts.len() } else { other }
    }
}
