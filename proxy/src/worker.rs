//! One worker thread's world.

use std::cell::RefCell;
use std::sync::Arc;

use mesh_runtime::Drain;

use crate::model::Snapshot;
use crate::xds::{Config, Reader};

/// What the connections of one worker thread share. Passed as `Rc<Worker>`: nothing here crosses threads, except through
/// handles that say so themselves.
pub struct Worker {
    /// Where configuration is read and asked for.
    pub config: Config,
    /// Says when to take no new work.
    pub drain: Drain,
    reader: RefCell<Reader>,
}

impl Worker {
    /// The world of a thread that begins now.
    pub fn new(config: Config, drain: Drain) -> Self {
        Self { reader: RefCell::new(config.reader()), config, drain }
    }

    /// The newest snapshot. What is in flight keeps the one that it began with.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.reader.borrow_mut().load().clone()
    }
}
