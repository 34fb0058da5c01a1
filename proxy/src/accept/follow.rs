//! The filter chain of a connection that is open, as the newest configuration has it.

use std::sync::Arc;

use super::chain::{Facts, choose};
use crate::authz::{self, Subject};
use crate::conn::ConnInfo;
use crate::model::{FilterChain, Snapshot};

/// By what the chain of an open connection is chosen again.
pub(crate) struct Followed {
    facts: Facts,
    /// With which it was chosen last, if it was.
    version: Option<u64>,
}

/// What has become of a connection's chain.
pub(crate) enum Newest {
    /// Nothing has changed, or its listener is gone, which leaves its connections as they are.
    AsBefore,
    /// This one takes it now.
    Chain(Arc<FilterChain>),
    /// None may take it, in words: a policy forbids it now, or it is in plain text where TLS has become a must.
    Refused(String),
}

impl Followed {
    /// Of a connection of which this is known. `version` is that of the snapshot by which it was let in, if it was yet.
    pub(crate) fn new(facts: Facts, version: Option<u64>) -> Self {
        Self { facts, version }
    }

    /// True if nothing has changed since this was asked last, where this is the newest version.
    pub(crate) fn is_newest(&self, version: u64) -> bool {
        self.version == Some(version)
    }

    /// What has become of its chain since this was asked last.
    pub(crate) fn newest(&mut self, snapshot: &Snapshot, conn: &ConnInfo) -> Newest {
        if self.is_newest(snapshot.version) {
            return Newest::AsBefore;
        }
        let newest = self.look(snapshot, conn);
        // Who asks again is refused again.
        if !matches!(newest, Newest::Refused(_)) {
            self.version = Some(snapshot.version);
        }
        newest
    }

    fn look(&self, snapshot: &Snapshot, conn: &ConnInfo) -> Newest {
        let Some(listener) = snapshot.listeners.get(&conn.listener) else { return Newest::AsBefore };
        let Some(chain) = choose(listener, &self.facts) else {
            return Newest::Refused(format!("no filter chain of {} takes it any more", listener.name));
        };
        if chain.tls.is_some() && conn.tls.is_none() {
            return Newest::Refused("plain text is not taken any more".to_owned());
        }
        match authz::check(&chain.rbac, &Subject { conn, head: None }) {
            Ok(()) => Newest::Chain(chain.clone()),
            Err(fault) => Newest::Refused(format!("refused: {}", fault.details())),
        }
    }
}
