//! What every process of the mesh wears: logging, readiness, draining on signals, and waiting between tries.

pub mod backoff;
pub mod drain;
pub mod front_page;
pub mod logging;
pub mod readiness;

pub use backoff::Backoff;
pub use drain::{Drain, DrainGuard, DrainTrigger};
pub use front_page::front_page;
pub use logging::{LogFormat, LogLevels, LogLevelsError};
pub use readiness::{Blocker, Readiness};
