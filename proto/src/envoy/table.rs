//! What the messages look like: see `build/envoy.rs`, which writes it down.

use std::collections::HashMap;

static TABLE: &str = include_str!(concat!(env!("OUT_DIR"), "/envoy.table"));

/// What the messages of a configuration look like. It is made in well under a millisecond, and for each use: most
/// processes never ask.
pub struct Messages {
    messages: Vec<Message>,
    enums: Vec<HashMap<i32, &'static str>>,
    by_name: HashMap<&'static str, usize>,
}

/// A message's fields, by their numbers.
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: HashMap<u32, Field>,
}

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) label: Label,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    One,
    Repeated,
    Map,
}

/// The types of protobuf's fields. A message or an enumeration is known by its place in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Message(usize),
    Bytes,
    Uint32,
    Enum(usize),
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

impl Messages {
    /// Reads the table.
    pub fn read() -> Self {
        let mut table = Self { messages: Vec::new(), enums: Vec::new(), by_name: HashMap::new() };
        for line in TABLE.lines() {
            table.add(line).unwrap_or_else(|| unreachable!("the build writes no such line: {line}"));
        }
        table
    }

    fn add(&mut self, line: &'static str) -> Option<()> {
        if let Some(name) = line.strip_prefix("message ") {
            self.by_name.insert(name, self.messages.len());
            self.messages.push(Message { name, fields: HashMap::new() });
        } else if line.starts_with("enum ") {
            self.enums.push(HashMap::new());
        } else if let Some(values) = self.enums.last_mut() {
            let (number, name) = line.split_once(' ')?;
            values.insert(number.parse().ok()?, name);
        } else {
            let (number, field) = line.split_once(' ')?;
            self.messages.last_mut()?.fields.insert(number.parse().ok()?, Field::read(field)?);
        }
        Some(())
    }

    pub(super) fn message(&self, name: &str) -> Option<&Message> {
        self.messages.get(*self.by_name.get(name)?)
    }

    pub(super) fn message_at(&self, place: usize) -> Option<&Message> {
        self.messages.get(place)
    }

    /// The name of an enumeration's value.
    pub(super) fn value_of(&self, place: usize, number: i32) -> Option<&'static str> {
        self.enums.get(place)?.get(&number).copied()
    }
}

impl Field {
    /// `NAME TYPE[*|%] [OF]`
    fn read(text: &'static str) -> Option<Self> {
        let mut words = text.split(' ');
        let (name, kind) = (words.next()?, words.next()?);
        let of = words.next().map_or(Some(0), |of| of.parse().ok())?;
        let (kind, label) = match (kind.strip_suffix('*'), kind.strip_suffix('%')) {
            (Some(kind), _) => (kind, Label::Repeated),
            (_, Some(kind)) => (kind, Label::Map),
            _ => (kind, Label::One),
        };
        Some(Self { name, kind: Kind::of(kind.parse().ok()?, of)?, label })
    }
}

impl Kind {
    /// By the number of `google.protobuf.FieldDescriptorProto.Type`.
    fn of(number: u8, place: usize) -> Option<Self> {
        Some(match number {
            1 => Self::Double,
            2 => Self::Float,
            3 => Self::Int64,
            4 => Self::Uint64,
            5 => Self::Int32,
            6 => Self::Fixed64,
            7 => Self::Fixed32,
            8 => Self::Bool,
            9 => Self::String,
            11 => Self::Message(place),
            12 => Self::Bytes,
            13 => Self::Uint32,
            14 => Self::Enum(place),
            15 => Self::Sfixed32,
            16 => Self::Sfixed64,
            17 => Self::Sint32,
            18 => Self::Sint64,
            _ => return None,
        })
    }
}
