//! HTTP/1 and HTTP/2 as grammar without IO: bytes in, events and bytes out.
//!
//! The data path owns sockets, time and policy; this crate owns what the bytes mean. It never blocks, never reads a
//! clock, never panics on any input, and bounds what a peer can make it keep. A message head is read into a buffer
//! that is reused from message to message ([`RequestHead`], [`ResponseHead`]), so that a request in flight costs no
//! allocation once its connection is warm, and both protocols meet in the same two types.
//!
//! What is ambiguous is refused, never forwarded: length and chunking together, differing lengths, bare line feeds,
//! folded lines, invalid characters.

mod chars;
mod fields;
pub mod h1;
pub mod h2;
mod head;
mod hpack;

pub use fields::{FieldName, Fields, Known};
pub use head::{BodyLength, RequestHead, ResponseHead, Version};
