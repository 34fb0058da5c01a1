//! Buffers that an idle connection does not hold.

use mesh_blocks::{Shelf, keep, take};

/// What one read takes at most, until a head needs more.
pub(crate) const READ: usize = 16 * 1024;
/// So many unused blocks of each kind are kept a thread.
const KEPT: usize = 64;

thread_local! {
    static BLOCKS: Shelf = const { Shelf::new(READ, KEPT) };
    /// Empty, with room.
    static TAILS: Shelf = const { Shelf::new(0, KEPT) };
}

/// Bytes that came and were not used yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// Initialised memory; empty while the connection is idle.
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// What is there.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    /// True if nothing is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Marks bytes as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Room for at least one more byte, or nothing if `limit` bytes are there already.
    pub(crate) fn room(&mut self, limit: usize) -> &mut [u8] {
        if self.block.is_empty() {
            self.block = take(&BLOCKS);
        }
        if self.end == self.block.len() && self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.block.len() && self.block.len() < limit {
            self.block.resize((self.block.len() * 2).min(limit), 0);
        }
        &mut self.block[self.end..]
    }

    /// Says how much of [`Self::room`] was filled.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.block.len());
    }

    /// Gives the memory back if nothing is there: for connections that wait.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() && !self.block.is_empty() {
            (self.start, self.end) = (0, 0);
            keep(&BLOCKS, std::mem::take(&mut self.block));
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        keep(&BLOCKS, std::mem::take(&mut self.block));
    }
}

/// Bytes to be written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    /// Where to append.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = take(&TAILS);
        }
        &mut self.bytes
    }

    /// What is still to be written.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// True if all is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Marks bytes as written. A buffer that grew large is let go once it is empty; of one that never is, since its peer
    /// always leaves something, what was written is let go before it is more than the rest.
    pub(crate) fn consume(&mut self, count: usize) {
        self.written += count;
        if self.is_empty() {
            self.written = 0;
            if self.bytes.capacity() > 4 * READ { self.bytes = Vec::new() } else { self.bytes.clear() }
        } else if self.written >= self.pending().len().max(4 * READ) {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    /// Gives the memory back if nothing is there.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            self.written = 0;
            keep_tail(std::mem::take(&mut self.bytes));
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        keep_tail(std::mem::take(&mut self.bytes));
    }
}

fn keep_tail(mut bytes: Vec<u8>) {
    if (1..=READ).contains(&bytes.capacity()) {
        bytes.clear();
        keep(&TAILS, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_that_is_never_empty_does_not_grow() {
        let mut output = Output::default();
        let mut all = (0..1000_u32).flat_map(|number| [number as u8; READ]);
        output.tail().extend(all.by_ref().take(READ));
        for number in 0..999_u32 {
            output.tail().extend(all.by_ref().take(READ));
            assert_eq!(output.pending()[0], number as u8);
            output.consume(READ);
        }
        assert_eq!(output.pending(), [999_u32 as u8; READ]);
        assert!(output.bytes.capacity() <= 16 * READ, "{}", output.bytes.capacity());
    }

    #[test]
    fn input_moves_and_grows_up_to_its_limit() {
        let mut input = Input::default();
        let room = input.room(2 * READ).len();
        assert_eq!(room, READ);
        input.filled(READ);
        input.consume(10);
        assert_eq!(input.room(2 * READ).len(), 10, "used bytes make room first");
        input.filled(10);
        assert_eq!(input.room(2 * READ).len(), READ);
        input.filled(READ);
        assert!(input.room(2 * READ).is_empty());
        input.consume(1);
        input.consume(usize::MAX);
        assert!(input.is_empty(), "all of it, wherever it begins");
        input.rest();
        assert!(input.unread().is_empty());
    }
}
