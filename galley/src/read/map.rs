//! Readers of the containers: lists, maps, and fields that may be absent.

use std::collections::BTreeMap;

use super::{Read, Reader, step};
use crate::diagnostic::Code;
use crate::node::Node;
use crate::path::Step;

impl<T: Read> Read for Option<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::read(node, reader).map(Some)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let items = reader.sequence(node)?;
        let read = |(index, item)| reader.within(Step::Index(index), |reader| T::read(item, reader));
        Some(items.iter().enumerate().filter_map(read).collect())
    }
}

impl<T: Read + Default> Read for BTreeMap<String, T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut out = Self::new();
        for entry in reader.mapping(node)? {
            let mut value = T::default();
            reader.field(entry, &mut value);
            out.insert(entry.key.to_string(), value);
        }
        Some(out)
    }
}

impl<T: Read + Default> Read for BTreeMap<u16, T> {
    /// A map whose keys are ports, as in `portLevelMtls`.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut out = Self::new();
        for entry in reader.mapping(node)? {
            let Ok(port) = entry.key.parse() else {
                let message = format!("{:?} is not a port: the key must be a number from 1 to 65535", entry.key);
                reader.within(step(entry), |reader| reader.error(Code::Invalid, entry.at, message));
                continue;
            };
            let mut value = T::default();
            reader.field(entry, &mut value);
            out.insert(port, value);
        }
        Some(out)
    }
}
