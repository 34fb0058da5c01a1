//! Writing field blocks.
//!
//! A field enters the table when it is seen for the second time: what changes with every request (identifiers, times)
//! never pushes out what repeats. Text is written plain: Huffman would save a fifth of what is sent once.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};

use hashbrown::DefaultHashBuilder;

use super::Key;
use super::table::{Entry, STATIC, Table};
use crate::Known;

/// The largest table that we keep, whatever the peer allows.
const MOST: usize = 4096;
/// Hashes of fields seen lately; a power of two.
const SEEN: usize = 128;
/// Longer values are never kept: one would push out many.
const LONGEST: usize = 512;

/// The writing end.
#[derive(Debug)]
pub(crate) struct Encoder {
    table: Table,
    /// Hashes of the table's entries, newest first.
    hashes: VecDeque<u32>,
    /// Entries that the table has had.
    inserted: usize,
    /// Which entries the fields of the last block were, by their places in it: blocks of a connection are much alike.
    last: Vec<usize>,
    /// The place of the next field.
    place: usize,
    seen: Box<[u32]>,
    hasher: DefaultHashBuilder,
    /// A change of the table's size that the peer has not been told, and the smallest it had meanwhile.
    resized: Option<usize>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            table: Table::new(MOST),
            hashes: VecDeque::new(),
            inserted: 0,
            last: Vec::new(),
            place: 0,
            seen: Box::default(),
            hasher: DefaultHashBuilder::default(),
            resized: None,
        }
    }
}

impl Encoder {
    /// The peer's SETTINGS_HEADER_TABLE_SIZE.
    pub(crate) fn resize(&mut self, allowed: usize) {
        let max = allowed.min(MOST);
        if max != self.table.max() || self.resized.is_some() {
            self.resized = Some(self.resized.map_or(max, |smallest| smallest.min(max)));
            self.table.resize(max);
            self.hashes.truncate(self.table.len());
        }
    }

    /// To be called before the first field of a block.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        self.place = 0;
        if let Some(smallest) = self.resized.take() {
            if smallest < self.table.max() {
                integer(smallest, 5, 0x20, out);
            }
            integer(self.table.max(), 5, 0x20, out);
        }
    }

    pub(crate) fn method(&mut self, method: &[u8], out: &mut Vec<u8>) {
        match method {
            b"GET" => out.push(0x82),
            b"POST" => out.push(0x83),
            _ => self.pair(Key::Method, b":method", method, 2, out),
        }
    }

    pub(crate) fn scheme(&mut self, scheme: &[u8], out: &mut Vec<u8>) {
        match scheme {
            b"http" => out.push(0x86),
            b"https" => out.push(0x87),
            _ => self.pair(Key::Scheme, b":scheme", scheme, 6, out),
        }
    }

    pub(crate) fn authority(&mut self, authority: &[u8], out: &mut Vec<u8>) {
        self.pair(Key::Authority, b":authority", authority, 1, out);
    }

    pub(crate) fn path(&mut self, path: &[u8], out: &mut Vec<u8>) {
        match path {
            b"/" => out.push(0x84),
            _ => self.pair(Key::Path, b":path", path, 4, out),
        }
    }

    pub(crate) fn protocol(&mut self, protocol: &[u8], out: &mut Vec<u8>) {
        self.pair(Key::Protocol, b":protocol", protocol, 0, out);
    }

    pub(crate) fn status(&mut self, status: u16, out: &mut Vec<u8>) {
        match status {
            200 => out.push(0x88),
            204 => out.push(0x89),
            206 => out.push(0x8a),
            304 => out.push(0x8b),
            400 => out.push(0x8c),
            404 => out.push(0x8d),
            500 => out.push(0x8e),
            _ => self.pair(Key::Status, b":status", itoa::Buffer::new().format(status).as_bytes(), 8, out),
        }
    }

    /// A field; its name in lower case. Credentials are kept out of tables, as is what its sender marked so.
    pub(crate) fn field(&mut self, known: Known, name: &[u8], value: &[u8], sensitive: bool, out: &mut Vec<u8>) {
        let index = common_name(known);
        if sensitive || matches!(known, Known::Authorization) || name == b"set-cookie" || name == b"proxy-authorization"
        {
            literal(0x10, 4, index, name, value, out);
        } else {
            self.pair(Key::Field(known), name, value, index, out);
        }
    }

    /// Writes what is indexed as an index, what was seen before into the table, and the rest as it is.
    fn pair(&mut self, key: Key, name: &[u8], value: &[u8], index: usize, out: &mut Vec<u8>) {
        if value.len() > LONGEST {
            return literal(0, 4, index, name, value, out);
        }
        let place = self.place;
        self.place += 1;
        if let Some(at) = self.expected(place).filter(|at| self.is(*at, name, value)) {
            return integer(STATIC + 1 + at, 7, 0x80, out);
        }
        let hash = self.hash(name, value);
        if let Some(at) = self.find(hash, name, value) {
            self.remember(place, at);
            return integer(STATIC + 1 + at, 7, 0x80, out);
        }
        if self.seen.is_empty() {
            self.seen = vec![0; SEEN].into();
        }
        let seen = &mut self.seen[hash as usize % SEEN];
        if std::mem::replace(seen, hash) != hash {
            return literal(0, 4, index, name, value, out);
        }
        literal(0x40, 6, index, name, value, out);
        self.table.insert(Entry::new(key, name, value));
        self.inserted += 1;
        self.hashes.push_front(hash);
        self.hashes.truncate(self.table.len());
    }

    fn hash(&self, name: &[u8], value: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        hasher.write(value);
        // Zero stands for nothing seen.
        (hasher.finish() as u32).max(1)
    }

    fn find(&self, hash: u32, name: &[u8], value: &[u8]) -> Option<usize> {
        (0..self.hashes.len()).find(|at| self.hashes[*at] == hash && self.is(*at, name, value))
    }

    /// True if the entry at a place of the table, the newest at 0, is this field.
    fn is(&self, at: usize, name: &[u8], value: &[u8]) -> bool {
        let entry = self.table.get(STATIC + 1 + at).map(Entry::field);
        entry.is_some_and(|entry| entry.name() == name && entry.value() == value)
    }

    /// Where the table has the field that had this place in the last block, if it has it still.
    fn expected(&self, place: usize) -> Option<usize> {
        self.last.get(place).map(|number| self.inserted - number)
    }

    /// Expects this entry at the same place of the next block.
    fn remember(&mut self, place: usize, at: usize) {
        if place >= self.last.len() {
            // No entry has this number yet.
            self.last.resize(place + 1, 0);
        }
        self.last[place] = self.inserted - at;
    }
}

/// Where the static table has the name of a field; 0 if it has not.
fn common_name(known: Known) -> usize {
    match known {
        Known::Authorization => 23,
        Known::ContentLength => 28,
        Known::ContentType => 31,
        Known::Cookie => 32,
        Known::Date => 33,
        Known::Location => 46,
        Known::Server => 54,
        Known::UserAgent => 58,
        _ => 0,
    }
}

/// Writes a field that is not indexed as a whole.
fn literal(first: u8, prefix: u32, index: usize, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    integer(index, prefix, first, out);
    if index == 0 {
        string(name, out);
    }
    string(value, out);
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    integer(text.len(), 7, 0, out);
    out.extend_from_slice(text);
}

fn integer(value: usize, prefix: u32, first: u8, out: &mut Vec<u8>) {
    let mask = (1_usize << prefix) - 1;
    if value < mask {
        out.push(first | value as u8);
        return;
    }
    out.push(first | mask as u8);
    let mut left = value - mask;
    while left >= 0x80 {
        out.push(0x80 | (left & 0x7f) as u8);
        left >>= 7;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::*;
    use proptest::prelude::*;

    fn block(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        for (name, value) in fields {
            encoder.field(Known::of(name.as_bytes()), name.as_bytes(), value.as_bytes(), false, &mut out);
        }
        out
    }

    #[test]
    fn what_repeats_becomes_an_index() {
        let mut encoder = Encoder::default();
        let sizes: Vec<_> = (0..4)
            .map(|n| block(&mut encoder, &[("x-team", "shop"), ("x-request-id", &n.to_string())]).len())
            .collect();
        let id = 1 + 1 + "x-request-id".len() + 1 + 1;
        assert_eq!(sizes, [13 + id, 13 + id, 1 + id, 1 + id]);
        assert_eq!(encoder.table.len(), 1, "what does not repeat stays out");
    }

    #[test]
    fn credentials_stay_out_of_tables() {
        let mut encoder = Encoder::default();
        for _ in 0..3 {
            assert_eq!(block(&mut encoder, &[("authorization", "secret")])[0], 0x1f);
        }
        assert_eq!(encoder.table.len(), 0);
    }

    #[test]
    fn a_smaller_table_is_told() {
        let mut encoder = Encoder::default();
        for _ in 0..2 {
            block(&mut encoder, &[("a", "b")]);
        }
        encoder.resize(0);
        encoder.resize(100);
        assert_eq!(block(&mut encoder, &[]), [0x20, 0x3f, 69]);
        assert_eq!(encoder.table.len(), 0);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            blocks in proptest::collection::vec(
                proptest::collection::vec(("[a-c]{1,3}|te|date|authorization", ".{0,3}|x{600}"), 0..8), 0..12),
            sizes in proptest::collection::vec(proptest::option::of(0..200_usize), 12),
        ) {
            let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new(4096));
            for (fields, size) in blocks.iter().zip(sizes) {
                size.into_iter().for_each(|size| encoder.resize(size));
                let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let mut read = Vec::new();
                let bytes = block(&mut encoder, &fields);
                decoder.decode(&bytes, |f| read.push((f.name().to_vec(), f.value().to_vec()))).unwrap();
                let wanted: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
                prop_assert_eq!(read, wanted);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Decoder::new(4096).decode(&bytes, |_| {});
        }
    }
}
