//! What tests and the demo stand on: pods made of network namespaces, processes that die with their test, clients
//! inside a pod, and fakes that speak the real protocols.

pub mod docs;
pub mod kube;
pub mod lab;
