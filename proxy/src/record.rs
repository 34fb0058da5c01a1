//! Where every request and every connection ends, once: metrics and access logs.

mod access_log;
mod connection;
mod labels;
pub(crate) mod peer;
mod recorder;
mod registry;
mod request;

pub use access_log::{Format as LogFormat, Sink};
pub use connection::TcpRecord;
pub use peer::PeerWorkload;
pub use recorder::{LastSeries, Recorder};
pub use registry::Registry;
pub use request::RequestRecord;
