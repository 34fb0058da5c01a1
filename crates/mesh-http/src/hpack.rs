//! HPACK (RFC 7541): header fields of HTTP/2, compressed against tables that both ends keep.

mod decode;
mod encode;
mod huffman;
mod table;

pub(crate) use decode::{Broken, Decoder};
pub(crate) use encode::Encoder;

use crate::{Known, chars};

/// What a field is: a part of the start line in disguise, or a field proper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Status,
    /// A pseudo-field that does not exist.
    Unknown,
    Field(Known),
}

impl Key {
    pub(crate) fn of(name: &[u8]) -> Self {
        if name.first() != Some(&b':') {
            return Self::Field(Known::of(name));
        }
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            b":status" => Self::Status,
            _ => Self::Unknown,
        }
    }
}

/// One field of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) key: Key,
    pub(crate) line: Line<'a>,
    /// To be kept out of every table.
    pub(crate) sensitive: bool,
    /// Name and value have only characters that they may have; says nothing of pseudo-fields.
    pub(crate) legal: bool,
}

impl<'a> Field<'a> {
    pub(crate) fn name(&self) -> &'a [u8] {
        self.line.name()
    }

    pub(crate) fn value(&self) -> &'a [u8] {
        self.line.value()
    }
}

/// A field as HTTP/1 writes it, `name: value` with the line's end: so it is copied in one piece.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    text: &'a [u8],
    name: usize,
}

impl<'a> Line<'a> {
    /// The text with the line's end.
    pub(crate) fn text(&self) -> &'a [u8] {
        self.text
    }

    pub(crate) fn name(&self) -> &'a [u8] {
        &self.text[..self.name]
    }

    pub(crate) fn value(&self) -> &'a [u8] {
        &self.text[self.name + BETWEEN.len()..self.text.len() - END.len()]
    }

    /// True if HTTP/2 lets such a field pass (RFC 9113, section 8.2.1).
    fn is_legal(&self) -> bool {
        let value = self.value();
        chars::is_lower_token(self.name()) && chars::is_value(value) && chars::trim(value).len() == value.len()
    }
}

const BETWEEN: &[u8] = b": ";
const END: &[u8] = b"\r\n";
