//! Readiness as a list of named reasons why not.

use std::sync::Arc;

use tokio::sync::watch;

/// Ready when nothing blocks it. Clones share one state.
#[derive(Clone, Debug)]
pub struct Readiness {
    blockers: Arc<watch::Sender<Vec<Arc<str>>>>,
}

/// A reason not to be ready; dropping it takes the reason away.
#[derive(Debug)]
#[must_use = "dropping a blocker declares its condition met"]
pub struct Blocker {
    readiness: Readiness,
    name: Arc<str>,
}

impl Readiness {
    /// Without blockers, so ready.
    pub fn new() -> Self {
        Self { blockers: Arc::new(watch::Sender::new(Vec::new())) }
    }

    /// Blocks readiness until the returned value is dropped. `name` says what is waited for, such as
    /// `workload certificate`; it is shown to whoever asks why we are not ready.
    pub fn block(&self, name: &str) -> Blocker {
        let name: Arc<str> = name.into();
        self.blockers.send_modify(|blockers| blockers.push(name.clone()));
        Blocker { readiness: self.clone(), name }
    }

    /// True if nothing blocks.
    pub fn is_ready(&self) -> bool {
        self.blockers.borrow().is_empty()
    }

    /// What is waited for, in the order in which it was named.
    pub fn waiting_for(&self) -> Vec<Arc<str>> {
        self.blockers.borrow().clone()
    }

    /// Waits until nothing blocks.
    pub async fn ready(&self) {
        let mut receiver = self.blockers.subscribe();
        // The sender lives in self, so the channel cannot close while we wait.
        let _ = receiver.wait_for(Vec::is_empty).await;
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Blocker {
    fn drop(&mut self) {
        self.readiness.blockers.send_modify(|blockers| {
            if let Some(index) = blockers.iter().position(|name| Arc::ptr_eq(name, &self.name)) {
                blockers.remove(index);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_when_the_last_blocker_is_dropped() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        let first = readiness.block("certificate");
        let second = readiness.block("certificate");
        assert_eq!(readiness.waiting_for(), ["certificate".into(), "certificate".into()]);
        drop(first);
        assert!(!readiness.is_ready());
        let waiter = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        drop(second);
        waiter.await.unwrap();
        assert!(readiness.is_ready());
    }
}
