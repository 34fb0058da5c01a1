//! One worker thread's world.

use std::cell::RefCell;
use std::sync::Arc;

use mesh_runtime::Drain;

use crate::model::Snapshot;
use crate::record::Recorder;
use crate::tls::Secrets;
use crate::upstream::{Shared, Upstreams};
use crate::xds::{Config, Reader};

/// What the connections of one worker thread share. Passed as `Rc<Worker>`: nothing here crosses threads, except through
/// handles that say so themselves.
pub struct Worker {
    /// Where configuration is read and asked for.
    pub config: Config,
    /// Says when to take no new work.
    pub drain: Drain,
    /// Clusters at work.
    pub upstreams: Upstreams,
    /// TLS settings made ready.
    pub tls: Secrets,
    /// Where requests and connections end.
    pub recorder: Recorder,
    reader: RefCell<Reader>,
}

impl Worker {
    /// The world of a thread that begins now.
    pub fn new(config: Config, drain: Drain, shared: Arc<Shared>, recorder: Recorder) -> Self {
        let reader = RefCell::new(config.reader());
        let tls = Secrets::new(config.authority_crl());
        Self { config, drain, upstreams: Upstreams::new(shared), tls, recorder, reader }
    }

    /// The world of a test, and what drains it.
    #[cfg(test)]
    pub(crate) fn of_test(config: Config) -> (Self, mesh_runtime::DrainTrigger) {
        let node = crate::config::Node::of_test();
        let sink = crate::record::Sink::start().unwrap();
        let recorder = Recorder::new(node.into(), &crate::record::Registry::default(), &sink);
        let (trigger, drain) = Drain::new();
        let shared = Shared::new(tokio::runtime::Handle::current());
        (Self::new(config, drain, shared, recorder), trigger)
    }

    /// The version of the newest snapshot, which costs nothing to ask.
    pub fn version(&self) -> u64 {
        self.reader.borrow_mut().load().version
    }

    /// The newest snapshot. What is in flight keeps the one that it began with.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.reader.borrow_mut().load().clone()
    }
}
