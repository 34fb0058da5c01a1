//! Identity on Kubernetes: tokens that the API server made, a root that the replicas share, and its public half where
//! every workload finds it.

mod cache;
mod review;
mod root;
mod spread;

pub use review::TokenReviews;
pub use root::shared_root;
pub use spread::{Spread, spread};
