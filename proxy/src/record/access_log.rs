//! Access logs: a line a request or connection, in Envoy's format strings or as JSON, written by a thread of its own.

mod format;
mod line;
mod sink;

pub use format::Format;
pub use sink::Sink;

pub(super) use line::Line;
pub(super) use sink::Lines;
