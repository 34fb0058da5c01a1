//! What the control plane stands on: where configuration comes from, who tells callers apart, and who signs. Kubernetes
//! gives all three, and so does a directory.

mod cluster;
mod directory;

use std::sync::Arc;

use anyhow::Result;
use citadel::{Authenticator, Authority};
use galley::State;
use tokio::sync::watch;

use crate::flags::Discovery;

pub(crate) use cluster::Cluster;

/// What the control plane stands on.
pub(crate) struct Foundation {
    /// Configuration, read to its end at least once.
    pub(crate) config: watch::Receiver<State>,
    /// Tells callers apart.
    pub(crate) callers: Arc<dyn Authenticator>,
    /// Signs.
    pub(crate) authority: watch::Receiver<Arc<Authority>>,
    /// The names under which proxies reach this process.
    pub(crate) names: Vec<String>,
    /// The cluster, if there is one to write to.
    pub(crate) cluster: Option<Cluster>,
}

impl Foundation {
    /// As the settings say.
    pub(crate) async fn open(settings: &Discovery) -> Result<Self> {
        match (&settings.config_dir, &settings.ca_dir) {
            (Some(config), Some(authority)) => directory::open(config, authority),
            _ => cluster::open(settings).await,
        }
    }
}
