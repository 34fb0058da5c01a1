//! HTTP/1 through the proxy, in process: a raw client on one side, a raw origin on the other, fixed configuration between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod edits;
mod exchange;
mod failure;
mod world;
