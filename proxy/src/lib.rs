//! The data plane: sidecar and gateway in one binary.
//!
//! Read from top to bottom, the modules are the order in which things pass through: configuration enters at [`xds`]
//! and becomes an immutable [`model::Snapshot`]; a connection enters at `accept`, goes `outbound` or `inbound`, is
//! routed, balanced, connected and recorded, once.

pub mod conn;
pub mod fault;
#[expect(dead_code, reason = "connections enter here")]
pub mod http;
pub mod model;
#[expect(dead_code, reason = "requests enter here")]
pub mod pool;
pub mod stream;
pub mod upstream;
pub mod worker;
pub mod xds;
