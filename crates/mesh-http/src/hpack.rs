//! HPACK (RFC 7541): header fields of HTTP/2, compressed against tables that both ends keep.

mod decode;
mod encode;
mod huffman;
mod table;

pub(crate) use decode::{Broken, Decoder};
pub(crate) use encode::Encoder;

use crate::Known;

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
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// To be kept out of every table.
    pub(crate) sensitive: bool,
}
