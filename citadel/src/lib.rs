//! Identities and certificates: the mesh's certificate authority.
//!
//! Whoever proves with a token which service account it is gets a certificate for that SPIFFE identity; the request's own
//! words about names are never looked at.

mod authority;
mod caller;
mod kubernetes;
mod plugged;
mod request;
mod rotation;
mod service;
mod store;
mod token;

pub use authority::{Authority, AuthorityError, LONGEST, Names};
pub use caller::{Authenticator, Caller, Pod, TokenError, bearer};
pub use kubernetes::{Spread, TokenReviews, shared_root, spread};
pub use plugged::{is_plugged, watch_plugged};
pub use service::{CertificateServer, Service};
pub use store::open;
pub use token::Tokens;
