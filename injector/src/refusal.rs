//! Why a pod is refused: every reason at once, each naming what is wrong.

use std::fmt;

/// More reasons help nobody.
const MOST: usize = 100;

/// What is wrong with a pod, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    problems: Vec<String>,
}

impl Refusal {
    /// With one reason.
    pub(crate) fn because(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()] }
    }

    /// Adds a reason.
    pub(crate) fn add(&mut self, problem: impl Into<String>) {
        match self.problems.len() {
            0..MOST => self.problems.push(problem.into()),
            MOST => self.problems.push("and more".to_owned()),
            _ => {}
        }
    }

    /// True if further reasons are not kept.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() > MOST
    }

    /// `Err` with all reasons, if there are any.
    pub(crate) fn into_result(self) -> Result<(), Self> {
        if self.problems.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The reasons, each a sentence.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("; "))
    }
}

impl std::error::Error for Refusal {}
