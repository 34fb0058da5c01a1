//! Discovery: from the objects of a mesh to the resources that each proxy is served.
//!
//! ```text
//! galley's Objects ─▶ World ─▶ generate (pure) ─▶ View of one proxy ─▶ push: the difference, to each proxy
//! ```

mod generate;
mod kind;
mod ordered;
mod proxy;
mod push;
mod resource;
mod scope;
mod shelf;
mod view;
mod world;

pub use generate::generate;
pub use kind::Kind;
pub use proxy::Proxy;
pub use push::{Authenticate, Server, Shown};
pub use resource::{Resource, Resources};
pub use world::World;
