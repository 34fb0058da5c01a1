//! Where every request and every connection ends, once: metrics and access logs.

mod recorder;
mod request;

pub use recorder::Recorder;
pub use request::RequestRecord;
