//! The mesh end to end: a shop of small services, a laboratory of pods with real redirection, and the scenarios that
//! the demo shows and the tests assert, written once.

pub mod client;
pub mod kube;
pub mod mesh;
pub mod place;
pub mod scenario;
pub mod shop;
pub mod story;
