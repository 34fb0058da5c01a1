//! A connection enters here: it is accepted, its true destination is found, its first bytes are looked at where that is
//! asked for, and a filter chain takes it.

mod announced;
mod chain;
mod follow;
mod listen;
mod original;
mod serve;
mod sniff;

pub use chain::{Facts, choose};
pub(crate) use follow::{Followed, Newest};
pub use listen::listen;
