//! What is known of a connection of bytes.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::fault::Flags;
use crate::model::{Destination, Endpoint};

/// A connection that carries bytes, from its beginning to its end.
#[derive(Debug)]
pub struct TcpRecord {
    /// When it was taken.
    pub began: Instant,
    /// The same, on the wall.
    pub time: SystemTime,
    /// The cluster that it went to.
    pub destination: Option<Destination>,
    /// The endpoint.
    pub endpoint: Option<Arc<Endpoint>>,
    /// It went on over mutual TLS.
    pub mtls: bool,
    /// Bytes from the caller.
    pub received: u64,
    /// Bytes to the caller.
    pub sent: u64,
    /// What went wrong, in Envoy's flags.
    pub flags: Flags,
    /// The same for people.
    pub failure: Option<String>,
}

impl TcpRecord {
    /// The record of a connection that begins.
    pub fn begin(destination: Option<Destination>) -> Self {
        Self {
            began: Instant::now(),
            time: SystemTime::now(),
            destination,
            endpoint: None,
            mtls: false,
            received: 0,
            sent: 0,
            flags: Flags::default(),
            failure: None,
        }
    }
}
