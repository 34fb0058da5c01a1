//! When something asked for on demand was last used, so that the long unused can be let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A shared mark of last use, in minutes of the configuration's own clock. Clones share it, so that a resource that
/// is replaced by a newer version keeps its mark.
#[derive(Clone, Debug, Default)]
pub struct LastUse(Arc<AtomicU32>);

impl LastUse {
    /// Marks a use at `minute`. Writes only when the minute changed, so that a busy resource's cache line is shared.
    pub fn mark(&self, minute: u32) {
        if self.0.load(Ordering::Relaxed) != minute {
            self.0.store(minute, Ordering::Relaxed);
        }
    }

    /// The minute of the last use.
    pub fn minute(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
