//! `istio-init`: redirects a pod's traffic to the proxy beside it, with Istio's chains and rules.
//!
//! [`settings`] reads Istio's flags, [`rules`] turns them into rules as pure data, [`apply`] makes the kernel hold
//! exactly these in one transaction, and [`verify`] proves from inside that a connection really is redirected.

pub mod apply;
pub mod rules;
pub mod settings;
pub mod verify;
