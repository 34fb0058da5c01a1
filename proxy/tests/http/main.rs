//! HTTP through the proxy, in process: a client on one side, an origin on the other, fixed configuration between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod budget;
mod counting;
mod desync;
mod downgrade;
mod edits;
mod ending;
mod exchange;
mod failure;
mod floods;
mod frames;
mod h2;
mod impatient;
mod memory;
mod replay;
mod tools;
mod world;
