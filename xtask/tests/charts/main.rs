//! The charts, by the users' own helm and kubectl: what they render, what they refuse, and what a real API server makes
//! of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

mod cluster;
mod goldens;
mod mistakes;
mod rights;
mod tools;
mod upgrades;
mod values;
mod walk;
