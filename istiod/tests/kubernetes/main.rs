//! istiod on a real API server.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

#[path = "../../../galley/tests/cluster_support/mod.rs"]
mod cluster_support;
mod control_plane;
mod identity;
mod ingress;
mod leading;
mod objects;
mod proxy;
mod replicas;
mod revocations;
