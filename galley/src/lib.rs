//! Configuration as Weft reads it: Istio's and Kubernetes' objects, from YAML to typed values.
//!
//! Text becomes a typed object ([`api`]) and leaves as an [`AnyObject`], or as a [`Diagnostic`] that names file, line,
//! column and field. A bad object never disturbs the good ones.

mod diagnostic;
#[expect(dead_code, reason = "the reader of files enters here")]
mod node;
#[cfg_attr(not(test), expect(dead_code, reason = "the reader of files enters here"))]
mod path;
#[expect(dead_code, reason = "the reader of files enters here")]
mod read;

pub mod api;
mod kind;
mod object;

pub use diagnostic::{Code, Diagnostic, ObjectRef, Severity};
pub use kind::Kind;
pub use node::Position;
pub use object::{AnyObject, Meta, Object, Source};
