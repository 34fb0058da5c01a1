//! Envoy's messages as JSON, from their bytes: what the types of `envoy-types` cannot tell of themselves.

mod json;
mod table;
mod well_known;
mod wire;

pub use json::Unreadable;
pub use table::Messages;
