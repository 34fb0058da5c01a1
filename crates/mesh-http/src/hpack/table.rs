//! The tables that fields are looked up in: the one that everybody has, and the one that the block's sender builds.

use std::collections::VecDeque;
use std::sync::LazyLock;

use super::{BETWEEN, END, Field, Key, Line};

/// What each entry of the dynamic table weighs beside its text (RFC 7541, section 4.1).
const OVERHEAD: usize = 32;
/// Entries of the static table; the dynamic one follows.
pub(super) const STATIC: usize = 61;

/// A field that a table holds.
#[derive(Debug)]
pub(super) struct Entry {
    key: Key,
    text: Box<[u8]>,
    name: usize,
    /// Found out once, and not whenever the field comes.
    legal: bool,
}

impl Entry {
    pub(super) fn new(key: Key, name: &[u8], value: &[u8]) -> Self {
        let text = [name, BETWEEN, value, END].concat();
        let line = Line { text: &text, name: name.len() };
        Self::of(&Field { key, line, sensitive: false, legal: line.is_legal() })
    }

    pub(super) fn of(field: &Field<'_>) -> Self {
        let Field { key, line, legal, .. } = *field;
        Self { key, text: line.text.into(), name: line.name, legal }
    }

    pub(super) fn field(&self) -> Field<'_> {
        let line = Line { text: &self.text, name: self.name };
        Field { key: self.key, line, sensitive: false, legal: self.legal }
    }

    fn size(&self) -> usize {
        self.text.len() - BETWEEN.len() - END.len() + OVERHEAD
    }
}

/// The static table (RFC 7541, appendix A), its first entry at 0.
static COMMON: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let fields = [
        (":authority", ""),
        (":method", "GET"),
        (":method", "POST"),
        (":path", "/"),
        (":path", "/index.html"),
        (":scheme", "http"),
        (":scheme", "https"),
        (":status", "200"),
        (":status", "204"),
        (":status", "206"),
        (":status", "304"),
        (":status", "400"),
        (":status", "404"),
        (":status", "500"),
        ("accept-charset", ""),
        ("accept-encoding", "gzip, deflate"),
        ("accept-language", ""),
        ("accept-ranges", ""),
        ("accept", ""),
        ("access-control-allow-origin", ""),
        ("age", ""),
        ("allow", ""),
        ("authorization", ""),
        ("cache-control", ""),
        ("content-disposition", ""),
        ("content-encoding", ""),
        ("content-language", ""),
        ("content-length", ""),
        ("content-location", ""),
        ("content-range", ""),
        ("content-type", ""),
        ("cookie", ""),
        ("date", ""),
        ("etag", ""),
        ("expect", ""),
        ("expires", ""),
        ("from", ""),
        ("host", ""),
        ("if-match", ""),
        ("if-modified-since", ""),
        ("if-none-match", ""),
        ("if-range", ""),
        ("if-unmodified-since", ""),
        ("last-modified", ""),
        ("link", ""),
        ("location", ""),
        ("max-forwards", ""),
        ("proxy-authenticate", ""),
        ("proxy-authorization", ""),
        ("range", ""),
        ("referer", ""),
        ("refresh", ""),
        ("retry-after", ""),
        ("server", ""),
        ("set-cookie", ""),
        ("strict-transport-security", ""),
        ("transfer-encoding", ""),
        ("user-agent", ""),
        ("vary", ""),
        ("via", ""),
        ("www-authenticate", ""),
    ];
    fields.iter().map(|(name, value)| Entry::new(Key::of(name.as_bytes()), name.as_bytes(), value.as_bytes())).collect()
});

/// The index of a field in the table that everybody has.
pub(super) fn common(index: usize) -> Option<&'static Entry> {
    COMMON.get(index.checked_sub(1)?)
}

/// A dynamic table: the newest entry first, the oldest let go when there is no room.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

impl Table {
    pub(super) fn new(max: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, max }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
        self.evict();
    }

    /// Puts an entry in front; one that is too large empties the table (RFC 7541, section 4.4).
    pub(super) fn insert(&mut self, entry: Entry) {
        self.size += entry.size();
        self.entries.push_front(entry);
        self.evict();
    }

    /// The entry at an index of the whole index space.
    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        match index.checked_sub(STATIC + 1) {
            Some(dynamic) => self.entries.get(dynamic),
            None => common(index),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn evict(&mut self) {
        while self.size > self.max
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way() {
        let mut table = Table::new(100);
        for name in ["a", "b", "c"] {
            table.insert(Entry::new(Key::of(name.as_bytes()), name.as_bytes(), b"1"));
        }
        assert_eq!(table.len(), 2);
        assert_eq!(table.get(STATIC + 1).map(|entry| entry.field().name()), Some(&b"c"[..]));
        assert_eq!(table.get(STATIC + 2).map(|entry| entry.field().name()), Some(&b"b"[..]));
        assert!(table.get(STATIC + 3).is_none() && table.get(0).is_none());
        table.insert(Entry::new(Key::Path, b":path", &[b'x'; 100]));
        assert_eq!(table.len(), 0);
        assert_eq!(table.get(STATIC).map(|entry| entry.field().name()), Some(&b"www-authenticate"[..]));
    }
}
