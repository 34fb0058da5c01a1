//! The sidecar injector: adds the proxy to pods, as a pure function without IO.
//!
//! For a webhook: [`Settings::read`] once for each edit of the chart's values or the mesh's settings, then [`review`] for
//! each `POST /inject`:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use injector::{Facts, Outcome, Settings, review};
//!
//! let settings = Settings::read(r#"{ "global": { "tag": "0.1.0" } }"#, "trustDomain: cluster.local", Facts::default())?;
//! let body = br#"{
//!     "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
//!     "request": { "uid": "1", "namespace": "shop", "operation": "CREATE", "object": {
//!         "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "app", "image": "app:1" }] }
//!     } }
//! }"#;
//! let review = review(&settings, "/inject", body)?;
//! assert!(matches!(review.outcome, Outcome::Injected(_)), "{}: {}", review.pod, review.outcome);
//! # Ok(())
//! # }
//! ```
//!
//! A pod is injected, left alone with a reason, or refused with every sentence that its owner needs. Which pods the API
//! server sends, by labels of namespaces and pods, is for the webhook's selectors, as in Istio: the webhook does not look
//! at namespaces a second time, since what it has heard of them may be older than what the API server knows.
//!
//! From the outside to the inside: [`mod@review`] (the wire), [`mod@inject`] (the order of work), `decide` (whether),
//! `plan` (what, out of settings and `annotations`), `template` (containers, volumes, labels), `merge` (the user's own
//! container), `probes`, `prometheus`, `order`, `status` (what was added, and how it is taken away again).

mod annotations;
mod context;
mod decide;
mod image;
pub mod inject;
mod json;
mod merge;
mod order;
mod owner;
mod plan;
mod pod;
mod probes;
mod prometheus;
mod proxy_config;
mod refusal;
pub mod review;
mod settings;
mod status;
mod template;
mod warnings;

pub use context::Context;
pub use decide::{Asked, Reason};
pub use inject::{Injection, Outcome, inject};
pub use owner::Workload;
pub use refusal::Refusal;
pub use review::{NotAReview, Review, review};
pub use settings::{Facts, KubernetesVersion, NativeSidecars, Settings, SettingsError, UnreadableVersion};
