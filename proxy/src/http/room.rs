//! Rooms for exchanges. What an exchange keeps while it runs is most of what a connection needs, and an idle connection must
//! not hold it: a thread has rooms, and lends one to a request from its head to its record.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mesh_http::RequestHead;

use super::exchange::{self, Call};
use super::h1::Server;
use super::lent::Lent;
use super::timer::Timer;
use crate::conn::ConnInfo;
use crate::model::HttpConnection;
use crate::worker::Worker;

/// So many unused rooms are kept a thread.
const KEPT: usize = 64;

thread_local! {
    static ROOMS: RefCell<Vec<Box<dyn Room>>> = const { RefCell::new(Vec::new()) };
}

/// A request that is about to be seen to its end, with all that takes.
pub(super) struct Guest {
    pub(super) worker: Rc<Worker>,
    pub(super) conn: Rc<ConnInfo>,
    pub(super) http: Arc<HttpConnection>,
    pub(super) head: Lent<RequestHead>,
    pub(super) back: Back,
}

/// What goes back to the connection.
pub(super) struct Back {
    pub(super) server: Box<Server>,
    pub(super) timer: Timer,
}

/// Sees a request to its end.
pub(super) async fn run(guest: Guest) -> Back {
    let mut key = Key::take();
    key.room().enter(guest);
    poll_fn(|cx| key.room().poll(cx)).await
}

async fn stay(mut guest: Guest) -> Back {
    let Back { server, timer } = &mut guest.back;
    let call = Call { worker: &guest.worker, conn: &guest.conn, http: &guest.http };
    exchange::run(&call, &mut guest.head, &mut **server, timer).await;
    guest.back
}

/// Memory for one exchange after the other.
trait Room {
    fn enter(&mut self, guest: Guest);
    /// Ready once the exchange has ended. An empty room is never ready.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Back>;
    fn clear(&mut self);
}

/// The exchange's future has no name: whoever builds the room tells how it is made.
struct Built<M, F> {
    make: M,
    future: Pin<Box<Option<F>>>,
}

impl<M: Fn(Guest) -> F, F: Future<Output = Back>> Built<M, F> {
    fn new(make: M) -> Self {
        Self { make, future: Box::pin(None) }
    }
}

impl<M: Fn(Guest) -> F, F: Future<Output = Back>> Room for Built<M, F> {
    fn enter(&mut self, guest: Guest) {
        self.future.set(Some((self.make)(guest)));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Back> {
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let back = ready!(future.poll(cx));
        self.clear();
        Poll::Ready(back)
    }

    fn clear(&mut self) {
        self.future.set(None);
    }
}

/// A room that goes back to the thread, also from an exchange that was given up.
struct Key(Option<Box<dyn Room>>);

impl Key {
    fn take() -> Self {
        Self(ROOMS.with_borrow_mut(Vec::pop))
    }

    fn room(&mut self) -> &mut dyn Room {
        self.0.get_or_insert_with(|| Box::new(Built::new(stay))).as_mut()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let Some(mut room) = self.0.take() else { return };
        room.clear();
        // A thread that ends has no rooms any more.
        let _ = ROOMS.try_with(|rooms| {
            let mut rooms = rooms.borrow_mut();
            if rooms.len() < KEPT {
                rooms.push(room);
            }
        });
    }
}
