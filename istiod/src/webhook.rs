//! What the API server asks before it takes an object: whether it is right, and what is to be added to a pod.

mod bundle;
mod inject;
mod proof;
mod serve;
mod validate;

pub(crate) use bundle::keep;
pub(crate) use inject::Injector;
pub(crate) use serve::serve;
