//! The data plane: sidecar and gateway in one binary.
//!
//! Read from top to bottom, the modules are the order in which things pass through: configuration enters at [`xds`]
//! and becomes an immutable [`model::Snapshot`]; a connection enters at `accept`, goes `outbound` or `inbound`, is
//! routed, balanced, connected and recorded, once.

pub mod conn;
pub mod fault;
pub mod model;
pub mod stream;
pub mod worker;
pub mod xds;
