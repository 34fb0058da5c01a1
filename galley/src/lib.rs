//! Configuration as Weft reads it: Istio's and Kubernetes' objects, from YAML or an API server to typed values.
//!
//! Text becomes a typed object ([`api`]) and leaves as an [`AnyObject`], or as a [`Diagnostic`] that names file, line,
//! column and field. A bad object never disturbs the good ones.

mod across;
mod diagnostic;
mod discovery;
mod ingress;
mod json;
mod kubernetes;
mod load;
mod node;
mod objects;
mod path;
mod read;
mod schema;
mod state;
mod validate;
mod watch;
mod yaml;

pub mod api;
mod kind;
mod object;

pub use diagnostic::{Code, Diagnostic, ObjectRef, Severity};
pub use kind::Kind;
pub use kubernetes::{Scope, api_resource, watch_cluster};
pub use load::{Loaded, load, load_object};
pub use node::Position;
pub use object::{AnyObject, Meta, Object, Source};
pub use objects::{Key, Objects, Table};
pub use schema::{definitions, mesh_config_values};
pub use state::State;
pub use watch::{Directory, watch_directory};
