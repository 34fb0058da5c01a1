//! The streams of a connection, by their identifiers.

use std::cell::Cell;

use hashbrown::HashMap;
use slab::Slab;

use super::stream::Stream;

/// Streams that are kept. Whoever works on one asks for it many times in a row: where it was found last is looked at first.
#[derive(Debug)]
pub(super) struct Streams<S> {
    slots: Slab<(u32, Stream<S>)>,
    places: HashMap<u32, usize>,
    last: Cell<usize>,
}

impl<S> Default for Streams<S> {
    fn default() -> Self {
        Self { slots: Slab::new(), places: HashMap::new(), last: Cell::new(0) }
    }
}

impl<S> Streams<S> {
    pub(super) fn get(&self, id: u32) -> Option<&Stream<S>> {
        self.slots.get(self.place(id)?).map(|(_, stream)| stream)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Stream<S>> {
        let place = self.place(id)?;
        self.slots.get_mut(place).map(|(_, stream)| stream)
    }

    /// Keeps a stream, whose identifier none has that is kept.
    pub(super) fn insert(&mut self, id: u32, stream: Stream<S>) {
        let place = self.slots.insert((id, stream));
        self.places.insert(id, place);
        self.last.set(place);
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Stream<S>> {
        let place = self.places.remove(&id)?;
        self.slots.try_remove(place).map(|(_, stream)| stream)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Stream<S>)> {
        self.slots.iter_mut().map(|(_, (id, stream))| (*id, stream))
    }

    fn place(&self, id: u32) -> Option<usize> {
        let last = self.last.get();
        if self.slots.get(last).is_some_and(|(kept, _)| *kept == id) {
            return Some(last);
        }
        let place = *self.places.get(&id)?;
        self.last.set(place);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::flow::{ReceiveWindow, SendWindow};
    use super::super::stream::{Asks, Half};
    use super::*;

    fn stream<S>(kept: S) -> Stream<S> {
        Stream {
            receives: Half::Head,
            sends: Half::Body,
            send_window: SendWindow::new(1),
            receive_window: ReceiveWindow::new(1),
            promised: None,
            asks: Asks::default(),
            reset: None,
            answered: false,
            kept,
        }
    }

    proptest! {
        #[test]
        fn each_is_found_by_its_own_identifier(steps in proptest::collection::vec((0..3_u8, 0..6_u32, any::<u16>()), 1..100)) {
            let (mut streams, mut model) = (Streams::default(), BTreeMap::new());
            for (step, id, kept) in steps {
                match step {
                    0 if !model.contains_key(&id) => {
                        streams.insert(id, stream(kept));
                        model.insert(id, kept);
                    }
                    1 => prop_assert_eq!(streams.remove(id).map(|stream| stream.kept), model.remove(&id)),
                    _ => prop_assert_eq!(streams.get_mut(id).map(|stream| stream.kept), model.get(&id).copied()),
                }
                prop_assert_eq!((streams.len(), streams.is_empty()), (model.len(), model.is_empty()));
                let all: BTreeMap<_, _> = streams.iter_mut().map(|(id, stream)| (id, stream.kept)).collect();
                prop_assert_eq!(&all, &model);
            }
        }
    }
}
