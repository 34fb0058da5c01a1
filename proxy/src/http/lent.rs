//! Heads whose memory goes from message to message: a busy thread allocates none, and a connection that waits holds none.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

use mesh_http::{RequestHead, ResponseHead};

/// So many unused heads are kept a thread.
const KEPT: usize = 64;

/// A head that came from the thread's shelf and goes back there.
#[derive(Debug)]
pub struct Lent<T: Head>(T);

/// A head that others can use after it was cleared.
pub trait Head: Default + 'static {
    /// Where this thread keeps those that nobody uses.
    fn shelf() -> &'static LocalKey<RefCell<Vec<Self>>>;

    /// Forgets everything but the memory.
    fn clear(&mut self);
}

impl<T: Head> Lent<T> {
    /// An empty head.
    pub fn new() -> Self {
        Self(T::shelf().with_borrow_mut(Vec::pop).unwrap_or_default())
    }
}

impl<T: Head> Lent<T> {
    /// Gives the memory for another head.
    pub(crate) fn swap(mut self, other: impl FnOnce(T) -> T) -> Self {
        self.0 = other(std::mem::take(&mut self.0));
        self
    }
}

impl<T: Head> Default for Lent<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Head> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Head> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Head> From<T> for Lent<T> {
    fn from(head: T) -> Self {
        Self(head)
    }
}

impl<T: Head> Drop for Lent<T> {
    fn drop(&mut self) {
        let mut head = std::mem::take(&mut self.0);
        // A thread that ends has no shelf any more.
        let _ = T::shelf().try_with(|shelf| {
            let mut shelf = shelf.borrow_mut();
            if shelf.len() < KEPT {
                head.clear();
                shelf.push(head);
            }
        });
    }
}

macro_rules! heads {
    ($($head:ident on $shelf:ident)*) => {$(
        thread_local! {
            static $shelf: RefCell<Vec<$head>> = const { RefCell::new(Vec::new()) };
        }

        impl Head for $head {
            fn shelf() -> &'static LocalKey<RefCell<Vec<Self>>> {
                &$shelf
            }

            fn clear(&mut self) {
                self.clear();
            }
        }
    )*};
}

heads! {
    RequestHead on REQUESTS
    ResponseHead on RESPONSES
}
