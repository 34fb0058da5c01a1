//! Bytes on their way, in a block that the thread lends while there are any.

use mesh_blocks::{Shelf, keep, take};
use rustls::{Error, InvalidMessage};

/// Room for one record at its largest, and a little more.
const SMALL: usize = 20 * 1024;
/// Room for four full records.
const LARGE: usize = 80 * 1024;

thread_local! {
    static SMALL_BLOCKS: Shelf = const { Shelf::new(SMALL, 64) };
    static LARGE_BLOCKS: Shelf = const { Shelf::new(LARGE, 8) };
}

/// Bytes that were put in at one end and are taken out at the other.
#[derive(Default)]
pub(super) struct Window {
    /// Initialised; empty while nothing is in it.
    block: Vec<u8>,
    start: usize,
    end: usize,
    /// So much came at a time that the next block is to be a large one.
    busy: bool,
}

impl Window {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// What is in it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.block[self.start..self.end]
    }

    /// Takes the first of them out, and with the last gives the block back.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            self.rest();
        }
    }

    /// Room for at least so many more, for which a larger block may be taken.
    pub(super) fn room(&mut self, least: usize) -> &mut [u8] {
        let held = self.end - self.start;
        if held + least > self.block.len() || (self.busy && self.block.len() < LARGE) {
            let mut block = block(held + least, self.busy);
            block[..held].copy_from_slice(self.bytes());
            give_back(std::mem::replace(&mut self.block, block));
            (self.start, self.end) = (0, held);
        } else if self.end + least > self.block.len() {
            self.block.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        }
        &mut self.block[self.end..]
    }

    /// Puts bytes in at the end.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.filled(bytes.len());
    }

    /// Puts bytes in before all others.
    pub(super) fn put_first(&mut self, bytes: &[u8]) {
        let rest = std::mem::take(self);
        self.put(bytes);
        self.put(rest.bytes());
    }

    /// # Errors
    /// If so much came that is of no use yet that it can never be: no message of TLS is as long.
    pub(super) fn check(&self) -> Result<(), Error> {
        let is_much = self.end - self.start >= LARGE;
        if is_much { Err(InvalidMessage::HandshakePayloadTooLarge.into()) } else { Ok(()) }
    }

    /// Says how much of the [room](Self::room) was filled.
    pub(super) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.block.len());
    }

    /// The same, of one read; whoever fills a small block is expected to go on.
    pub(super) fn read(&mut self, count: usize) {
        self.filled(count);
        self.busy = self.end == self.block.len() || (self.busy && count > SMALL);
    }

    /// Gives the block back if nothing is in it.
    pub(super) fn rest(&mut self) {
        if self.is_empty() && !self.block.is_empty() {
            (self.start, self.end) = (0, 0);
            give_back(std::mem::take(&mut self.block));
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.block));
    }
}

fn block(least: usize, busy: bool) -> Vec<u8> {
    match least {
        ..=SMALL if !busy => take(&SMALL_BLOCKS),
        ..=LARGE => take(&LARGE_BLOCKS),
        more => vec![0; more],
    }
}

fn give_back(block: Vec<u8>) {
    match block.len() {
        SMALL => keep(&SMALL_BLOCKS, block),
        LARGE => keep(&LARGE_BLOCKS, block),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(turns in proptest::collection::vec((0_usize..40_000, 0_usize..40_000), 1..40)) {
            let mut window = Window::default();
            let (mut written, mut read) = (0_u64, 0_u64);
            for (fill, consume) in turns {
                for byte in &mut window.room(fill)[..fill] {
                    *byte = written as u8;
                    written += 1;
                }
                window.read(fill);
                let consume = consume.min(window.bytes().len());
                for byte in &window.bytes()[..consume] {
                    prop_assert_eq!(*byte, read as u8);
                    read += 1;
                }
                window.consume(consume);
                prop_assert_eq!(window.bytes().len() as u64, written - read);
                prop_assert_eq!(window.block.is_empty(), window.is_empty());
            }
        }
    }

    #[test]
    fn a_busy_direction_earns_a_large_block_and_loses_it_when_it_slows_down() {
        let mut window = Window::default();
        assert_eq!(window.room(1).len(), SMALL);
        window.read(SMALL);
        window.consume(SMALL - 5);
        assert_eq!(window.room(1).len(), LARGE - 5);
        window.read(100);
        window.consume(105);
        assert_eq!(window.room(1).len(), SMALL);
    }
}
