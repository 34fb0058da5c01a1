//! Answers that were right a moment ago.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many answers are remembered.
const MOST: usize = 16 * 1024;

/// Answers, each with the moment until which it counts.
pub(super) struct Cache<K, V> {
    held: Mutex<HashMap<K, (V, Instant)>>,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(super) fn new() -> Self {
        Self { held: Mutex::default() }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let held = self.held.lock();
        held.get(key).filter(|(_, until)| *until > Instant::now()).map(|(value, _)| value.clone())
    }

    /// Remembers an answer. When there is no room even without what is over, it is not remembered.
    pub(super) fn put(&self, key: K, value: V, time: Duration) {
        let now = Instant::now();
        let mut held = self.held.lock();
        if held.len() >= MOST {
            held.retain(|_, (_, until)| *until > now);
        }
        if held.len() < MOST {
            held.insert(key, (value, now + time));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_forgotten_in_time_and_never_too_many() {
        let cache = Cache::new();
        cache.put(0, 'a', Duration::from_secs(60));
        cache.put(1, 'b', Duration::ZERO);
        assert_eq!((cache.get(&0), cache.get(&1), cache.get(&2)), (Some('a'), None, None));
        (2..MOST * 2).for_each(|key| cache.put(key, 'c', Duration::from_secs(60)));
        assert_eq!(cache.held.lock().len(), MOST);
        assert_eq!(cache.get(&0), Some('a'));
    }
}
