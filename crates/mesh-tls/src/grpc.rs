//! gRPC over this crate's TLS, for the few connections between proxies and the control plane.

mod incoming;
mod outgoing;

pub use incoming::{GrpcStream, Peer, incoming};
pub use outgoing::{Secure, connect};
