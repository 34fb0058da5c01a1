//! The injector from outside: pods in, pods out.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

mod again;
mod annotations;
mod golden;
mod odd;
mod offline;
mod refusals;
mod speed;
mod tools;
mod wire;
