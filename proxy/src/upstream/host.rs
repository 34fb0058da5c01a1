//! One endpoint on one worker.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::health::Health;
use crate::model::Endpoint;
use crate::pool::HostPool;

/// An endpoint with what this worker keeps for it.
pub struct Host {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    pub(super) state: Rc<HostState>,
}

/// What outlives a change of the endpoint's weight or health.
#[derive(Default)]
pub(super) struct HostState {
    /// Requests and connections under way.
    pub(super) active: Cell<u32>,
    /// Passive health, where the cluster asks for it.
    pub(super) health: Option<Arc<Health>>,
    pub(super) pool: HostPool,
}

impl Host {
    /// This worker's connections to it.
    pub fn pool(&self) -> &HostPool {
        &self.state.pool
    }

    /// Requests and connections under way from this worker.
    pub fn active(&self) -> u32 {
        self.state.active.get()
    }
}
