//! Memory that a thread lends to whichever of its connections has something to read or write, so that one that waits holds
//! none.

use std::cell::RefCell;
use std::thread::LocalKey;

/// A thread's unused blocks of one size. To be declared as `thread_local!`.
#[derive(Debug)]
pub struct Shelf {
    size: usize,
    most: usize,
    blocks: RefCell<Vec<Vec<u8>>>,
}

impl Shelf {
    /// A shelf of blocks of `size` initialised bytes, of which it keeps so many at most. Blocks of no size are empty
    /// and keep what room they have.
    pub const fn new(size: usize, most: usize) -> Self {
        Self { size, most, blocks: RefCell::new(Vec::new()) }
    }
}

/// A block of this shelf's size; what is in it, if anything, is of no meaning.
pub fn take(shelf: &'static LocalKey<Shelf>) -> Vec<u8> {
    shelf.with(|shelf| shelf.blocks.borrow_mut().pop().unwrap_or_else(|| vec![0; shelf.size]))
}

/// Gives a block back. One of another size is let go.
pub fn keep(shelf: &'static LocalKey<Shelf>, block: Vec<u8>) {
    // A thread that ends keeps nothing.
    let _ = shelf.try_with(|shelf| {
        let mut blocks = shelf.blocks.borrow_mut();
        if block.len() == shelf.size && block.capacity() > 0 && blocks.len() < shelf.most {
            blocks.push(block);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static BLOCKS: Shelf = const { Shelf::new(8, 2) };
        static TAILS: Shelf = const { Shelf::new(0, 2) };
    }

    fn kept(shelf: &'static LocalKey<Shelf>) -> usize {
        shelf.with(|shelf| shelf.blocks.borrow().len())
    }

    #[test]
    fn blocks_of_its_size_are_kept_up_to_its_most() {
        for size in [8, 9, 0, 8, 8] {
            keep(&BLOCKS, vec![1; size]);
        }
        assert_eq!(kept(&BLOCKS), 2);
        assert_eq!([take(&BLOCKS), take(&BLOCKS), take(&BLOCKS)], [vec![1; 8], vec![1; 8], vec![0; 8]]);
    }

    #[test]
    fn empty_blocks_keep_their_room() {
        keep(&TAILS, Vec::new());
        assert_eq!(kept(&TAILS), 0, "nothing to keep");
        keep(&TAILS, Vec::with_capacity(10));
        assert_eq!((take(&TAILS).capacity() >= 10, take(&TAILS).capacity()), (true, 0));
    }
}
