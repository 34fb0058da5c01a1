//! The watches that run, each in a task of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Scope;
use super::follow::{Follower, News};
use crate::kind::Kind;

/// News that wait to be taken; more make the followers wait.
const WAITING: usize = 1024;

/// What one watch is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Watched {
    pub(super) kind: Kind,
    /// Namespace and name, if it is of one object alone.
    pub(super) place: Option<(Arc<str>, Arc<str>)>,
}

/// The watches that run.
pub(super) struct Watches {
    client: Client,
    scope: Scope,
    running: BTreeMap<Watched, JoinHandle<()>>,
    sender: mpsc::Sender<News>,
    heard: mpsc::Receiver<News>,
}

impl Watches {
    pub(super) fn new(client: Client, scope: Scope) -> Self {
        let (sender, heard) = mpsc::channel(WAITING);
        Self { client, scope, running: BTreeMap::new(), sender, heard }
    }

    /// Starts a watch, unless it runs.
    pub(super) fn start(&mut self, watched: Watched) {
        let (client, scope, sender) = (&self.client, &self.scope, &self.sender);
        self.running.entry(watched).or_insert_with_key(|watched| {
            let follower = Follower::new(client.clone(), scope.clone(), watched.clone(), sender.clone());
            tokio::spawn(follower.run())
        });
    }

    /// Ends a watch.
    pub(super) fn stop(&mut self, watched: &Watched) {
        if let Some(task) = self.running.remove(watched) {
            task.abort();
        }
    }

    /// All that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &Watched> {
        self.running.keys()
    }

    /// True if it runs: news of a watch that was stopped may still be waiting.
    pub(super) fn runs(&self, watched: &Watched) -> bool {
        self.running.contains_key(watched)
    }

    /// The next piece of news.
    pub(super) async fn next(&mut self) -> Option<News> {
        self.heard.recv().await
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.running.values().for_each(JoinHandle::abort);
    }
}
