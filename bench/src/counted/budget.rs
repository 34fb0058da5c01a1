//! Budgets: a file of what work may cost, and how a count is compared with it.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Div};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Counts of one program differ by less from run to run: order of events, random numbers, timers.
const INSTRUCTIONS: f64 = 1.1;
/// The same of allocations, of which there are few: what is read in two pieces rather than one costs some more.
const ALLOCATIONS: f64 = 1.25;
/// What is allocated seldom is not counted exactly: a table that grows once in a thousand requests.
const FEW: f64 = 0.5;

/// What something costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cost {
    /// Outside the kernel.
    pub(super) instructions: f64,
    /// Calls of the allocator for new memory.
    pub(super) allocations: f64,
}

/// Costs by what is done.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Budgets(BTreeMap<String, Cost>);

impl Budgets {
    /// Those of the repository.
    pub(super) fn read() -> Result<Self> {
        let path = file();
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| format!("{} has another form", path.display()))
    }

    /// Makes these the repository's.
    pub(super) fn write(&self) -> Result<()> {
        let path = file();
        let rounded = self.0.iter().map(|(name, cost)| (name.clone(), cost.rounded()));
        let text = serde_json::to_string_pretty(&Self(rounded.collect()))? + "\n";
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("Budgets: {}", path.display());
        Ok(())
    }

    pub(super) fn insert(&mut self, name: &str, cost: Cost) {
        self.0.insert(name.to_owned(), cost);
    }

    /// Compares, and says what to do. True if nothing exceeds its budget.
    pub(super) fn hold(&self, budgets: &Self) -> bool {
        let exceeding: Vec<_> = self.0.iter().filter_map(|(name, cost)| excess(name, *cost, budgets)).collect();
        if exceeding.is_empty() {
            println!("All within their budgets.");
            return true;
        }
        exceeding.iter().for_each(|excess| eprintln!("OVER ITS BUDGET: {excess}"));
        eprintln!(
            "If the change is worth that, `cargo xtask bench count --write` makes these the budgets, and the change's \
             message says why; docs/performance.md tells how to see where it goes."
        );
        false
    }
}

fn excess(name: &str, cost: Cost, budgets: &Budgets) -> Option<String> {
    match budgets.0.get(name) {
        None => Some(format!("{name}: it has none")),
        Some(budget) if cost.exceeds(*budget) => Some(format!("{name}: {cost}; the budget is {budget}")),
        Some(_) => None,
    }
}

impl Cost {
    fn exceeds(self, budget: Self) -> bool {
        let allocations = (budget.allocations * ALLOCATIONS).max(budget.allocations + FEW);
        self.instructions > budget.instructions * INSTRUCTIONS || self.allocations > allocations
    }

    fn rounded(self) -> Self {
        Self { instructions: self.instructions.round(), allocations: (self.allocations * 10.0).round() / 10.0 }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { instructions: self.instructions + other.instructions, allocations: self.allocations + other.allocations }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

impl Div<f64> for Cost {
    type Output = Self;

    fn div(self, by: f64) -> Self {
        Self { instructions: self.instructions / by, allocations: self.allocations / by }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} instructions, {:.1} allocations", self.instructions, self.allocations)
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("budgets.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(instructions: f64, allocations: f64) -> Cost {
        Cost { instructions, allocations }
    }

    #[test]
    fn what_differs_from_run_to_run_is_no_excess_and_more_is() {
        let budget = cost(1000.0, 0.0);
        assert!(!cost(1099.0, 0.4).exceeds(budget));
        assert!(cost(1101.0, 0.0).exceeds(budget));
        assert!(cost(900.0, 1.0).exceeds(budget), "one allocation a request");
        assert!(!cost(1000.0, 124.0).exceeds(cost(1000.0, 100.0)));
        assert!(cost(1000.0, 126.0).exceeds(cost(1000.0, 100.0)));
    }

    #[test]
    fn what_has_no_budget_is_an_excess() {
        let mut counted = Budgets::default();
        counted.insert("new", cost(1.0, 0.0));
        assert!(!counted.hold(&Budgets::default()));
        assert!(counted.hold(&counted));
    }
}
