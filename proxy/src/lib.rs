//! The data plane: sidecar and gateway in one binary.
//!
//! Read from top to bottom, the modules are the order in which things pass through: configuration enters at [`xds`]
//! and becomes an immutable [`model::Snapshot`]; a connection enters at `accept`, goes `outbound` or `inbound`, is
//! routed, balanced, connected and recorded, once.

pub mod accept;
pub mod admin;
pub mod app;
pub mod app_health;
pub mod authz;
mod carrier;
pub mod config;
pub mod conn;
pub mod connect;
mod copy;
mod delivery;
pub mod fault;
pub mod http;
pub mod identity;
pub mod model;
pub mod pool;
mod proxy_header;
mod reconnect;
pub mod record;
mod retry;
pub mod route;
pub mod sim;
pub mod stream;
pub mod tcp;
pub mod tls;
pub mod upstream;
pub mod worker;
pub mod xds;
