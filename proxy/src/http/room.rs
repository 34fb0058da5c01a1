//! Rooms for exchanges. What an exchange keeps while it runs is most of what a connection needs, and an idle connection must
//! not hold it: a thread has rooms, and lends one to a request from its head to its record.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread::LocalKey;

/// So many unused rooms of a kind are kept a thread.
const KEPT: usize = 64;

/// A request that is about to be seen to its end, with all that takes.
pub(super) trait Guest: Sized + 'static {
    /// What goes back to the connection.
    type Back;

    /// Where this thread keeps rooms that nobody uses.
    fn shelf() -> &'static LocalKey<Shelf<Self>>;

    /// A new room: [`Built`] of what sees such a request to its end.
    fn build() -> Box<dyn Room<Self>>;
}

/// Unused rooms.
pub(super) type Shelf<G> = RefCell<Vec<Box<dyn Room<G>>>>;

/// Memory for one exchange after the other.
pub(super) trait Room<G: Guest> {
    /// Takes a request in.
    fn enter(&mut self, guest: G);
    /// Ready once the exchange has ended. An empty room is never ready.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<G::Back>;
    /// Gives up the exchange.
    fn clear(&mut self);
}

/// A room for the future that `make` makes: that has no name, so whoever builds the room tells how it is made.
pub(super) struct Built<M, F> {
    make: M,
    future: Pin<Box<Option<F>>>,
}

impl<M, F> Built<M, F> {
    pub(super) fn new(make: M) -> Self {
        Self { make, future: Box::pin(None) }
    }
}

impl<G: Guest, M: Fn(G) -> F, F: Future<Output = G::Back>> Room<G> for Built<M, F> {
    fn enter(&mut self, guest: G) {
        self.future.set(Some((self.make)(guest)));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<G::Back> {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let back = ready!(future.poll(cx));
        self.future.set(None);
        Poll::Ready(back)
    }

    fn clear(&mut self) {
        self.future.set(None);
    }
}

/// An exchange in its room, which goes back to the thread at the end, also from an exchange that was given up.
pub(super) struct Stay<G: Guest>(Option<Box<dyn Room<G>>>);

impl<G: Guest> Stay<G> {
    /// Sees a request to its end.
    pub(super) fn of(guest: G) -> Self {
        let mut room = G::shelf().with_borrow_mut(Vec::pop).unwrap_or_else(G::build);
        room.enter(guest);
        Self(Some(room))
    }
}

impl<G: Guest> Future for Stay<G> {
    type Output = G::Back;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<G::Back> {
        self.0.as_mut().map_or(Poll::Pending, |room| room.poll(cx))
    }
}

impl<G: Guest> Drop for Stay<G> {
    fn drop(&mut self) {
        let Some(mut room) = self.0.take() else { return };
        room.clear();
        // A thread that ends has no rooms any more.
        let _ = G::shelf().try_with(|rooms| {
            let mut rooms = rooms.borrow_mut();
            if rooms.len() < KEPT {
                rooms.push(room);
            }
        });
    }
}
