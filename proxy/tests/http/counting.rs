//! The allocator of these tests, which counts what the present thread allocates and holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread so far.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Watches what this thread holds from now on.
pub(crate) struct Watch {
    before: isize,
}

impl Watch {
    pub(crate) fn begin() -> Self {
        MOST.set(HELD.get());
        Self { before: HELD.get() }
    }

    /// The most bytes that were held at once since then, beyond what was held before.
    pub(crate) fn most(&self) -> usize {
        usize::try_from(MOST.get() - self.before).unwrap_or_default()
    }
}

/// Bytes more or less are held, after an allocation or none. A thread that ends has no count any more.
fn count(allocations: u64, bytes: isize) {
    let _ = ALLOCATIONS.try_with(|all| all.set(all.get() + allocations));
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
    let _ = MOST.try_with(|most| most.set(most.get().max(HELD.get())));
}

/// No allocation is larger than that (`Layout`).
fn signed(size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

#[allow(unsafe_code, reason = "counting allocations takes an allocator, which only passes on what it is asked for")]
// SAFETY: every call is the system allocator's, with the arguments that came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, signed(size) - signed(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
