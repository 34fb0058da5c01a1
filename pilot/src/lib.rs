//! Discovery: from the objects of a mesh to the resources that each proxy is served.
//!
//! ```text
//! galley's Objects ─▶ World ─▶ generate (pure) ─▶ View of one proxy ─▶ push: the difference, to each proxy
//! ```

mod authenticate;
mod generate;
mod kind;
mod operator;
mod ordered;
mod progress;
mod proxy;
mod push;
mod resource;
mod scope;
mod shelf;
mod subscription;
mod view;
mod world;

pub use authenticate::{Authenticate, Grant};
pub use generate::generate;
pub use kind::Kind;
pub use operator::DEBUG_PAGES;
pub use proxy::Proxy;
pub use push::{Server, Shown};
pub use resource::{Resource, Resources};
pub use world::World;
