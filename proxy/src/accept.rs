//! A connection enters here: it is accepted, its true destination is found, its first bytes are looked at where that is
//! asked for, and a filter chain takes it.

mod chain;
mod listen;
mod original;
mod serve;
mod sniff;

pub use chain::{Facts, choose};
pub use listen::listen;
