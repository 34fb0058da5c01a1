//! HTTP: a connection from the application or a peer is read, each request is decided, sent on and recorded.

pub(crate) mod body;
pub(crate) mod buffer;
pub(crate) mod timer;
pub(crate) mod wire;
