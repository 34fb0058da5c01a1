//! How far a proxy has come: of which world it has taken everything that it was sent.

use std::collections::BTreeMap;

use crate::kind::Kind;

/// The responses that a proxy has not taken yet, and what they belong to.
pub(crate) struct Progress {
    /// By nonce: the type, and the generation of the world.
    waiting: BTreeMap<u64, (Kind, u64)>,
    /// Everything that this world asks for was sent.
    sent: u64,
    /// It has taken anything at all.
    begun: bool,
}

impl Progress {
    /// With a world whose resources are sent as they are asked for.
    pub(crate) fn new(generation: u64) -> Self {
        Self { waiting: BTreeMap::new(), sent: generation, begun: false }
    }

    /// A response goes out.
    pub(crate) fn sent(&mut self, nonce: u64, kind: Kind, generation: u64) {
        self.waiting.insert(nonce, (kind, generation));
    }

    /// Whatever a world changed has gone out.
    pub(crate) fn sent_all_of(&mut self, generation: u64) {
        self.sent = generation;
    }

    /// A response was taken, and with it those of its type before it. What a proxy refuses is never taken, until it
    /// takes something newer.
    pub(crate) fn taken(&mut self, kind: Kind, nonce: &str) {
        let Ok(taken) = nonce.parse::<u64>() else { return };
        self.begun = true;
        self.waiting.retain(|nonce, (of, _)| *of != kind || *nonce > taken);
    }

    /// The newest world of which everything was taken; `None` if there is none.
    pub(crate) fn has(&self) -> Option<u64> {
        let oldest = self.waiting.values().map(|(_, generation)| *generation).min();
        match oldest {
            _ if !self.begun => None,
            Some(oldest) => Some(oldest.checked_sub(1)?.min(self.sent)),
            None => Some(self.sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_had_when_all_of_it_is_taken() {
        let mut progress = Progress::new(3);
        progress.sent(1, Kind::Cluster, 3);
        assert_eq!(progress.has(), None);
        progress.taken(Kind::Cluster, "1");
        assert_eq!(progress.has(), Some(3));
        progress.sent(2, Kind::Route, 4);
        progress.sent(3, Kind::Cluster, 4);
        progress.sent_all_of(4);
        progress.taken(Kind::Cluster, "3");
        assert_eq!(progress.has(), Some(3), "the route was not taken");
        progress.sent(4, Kind::Route, 5);
        progress.sent_all_of(5);
        progress.taken(Kind::Route, "nonsense");
        assert_eq!(progress.has(), Some(3));
        progress.taken(Kind::Route, "4");
        assert_eq!(progress.has(), Some(5), "a newer route takes the place of the older one");
        progress.sent_all_of(6);
        assert_eq!(progress.has(), Some(6), "it needs nothing of this world");
    }
}
