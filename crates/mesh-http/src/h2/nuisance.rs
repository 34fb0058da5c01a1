//! Frames that cost us work and do none: counted, and bounded.

use super::Fatal;
use super::frame::Code;

/// So many frames that carry nothing, between two ticks of the caller's clock or two requests.
const EMPTY: u32 = 1000;
/// So many requests that were taken back before they were answered, and more than half of all, end a connection
/// (CVE-2023-44487).
const TAKEN_BACK: u32 = 500;

/// What a peer has troubled us with.
#[derive(Debug, Default)]
pub(super) struct Nuisance {
    idle: u32,
    streams: u64,
    taken_back: u32,
}

impl Nuisance {
    /// A frame without work: PING, SETTINGS, PRIORITY, an empty DATA or CONTINUATION, an update of no use.
    pub(super) fn frame(&mut self) -> Result<(), Fatal> {
        self.idle += 1;
        if self.idle > EMPTY {
            Err(Fatal::new(Code::EnhanceYourCalm, "too many frames that carry nothing"))
        } else {
            Ok(())
        }
    }

    /// A request: a little work is forgiven for each.
    pub(super) fn stream(&mut self) {
        self.streams += 1;
        self.idle = self.idle.saturating_sub(4);
    }

    /// Bytes of a body: so is a little for each frame of them.
    pub(super) fn data(&mut self) {
        self.idle = self.idle.saturating_sub(4);
    }

    /// Bytes of a body went out: credit for them and a ping to measure the way may come back.
    pub(super) fn sent(&mut self) {
        self.idle = self.idle.saturating_sub(3);
    }

    /// A stream was reset before it was answered, by the peer or for what it did.
    pub(super) fn taken_back(&mut self) -> Result<(), Fatal> {
        self.taken_back += 1;
        if self.taken_back > TAKEN_BACK && u64::from(self.taken_back) * 2 > self.streams {
            return Err(Fatal::new(Code::EnhanceYourCalm, "too many requests were taken back"));
        }
        Ok(())
    }

    /// Time passed.
    pub(super) fn tick(&mut self) {
        self.idle = 0;
    }
}
