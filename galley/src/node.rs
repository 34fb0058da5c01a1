//! A document as a tree of nodes that know where they stand.

use std::fmt;

use crate::read::parse_integer;

/// A place in a text, counted from 1. Zero means that no place is known (objects that did not come from a file).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A leaf: its text, and the type that YAML's core schema gives it.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: Box<str>,
    pub(crate) kind: ScalarKind,
}

/// Types of the core schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    Null,
    Bool,
    Integer,
    Float,
    String,
}

/// A key of a mapping and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Box<str>,
    pub(crate) at: Position,
    pub(crate) value: Node,
}

impl Node {
    /// True for `null`, `~` and nothing at all: a field so set is as good as absent.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind == ScalarKind::Null)
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| &*entry.key == key),
            _ => None,
        }
    }

    /// The text of a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.kind == ScalarKind::String => Some(&scalar.text),
            _ => None,
        }
    }

    /// The same without places.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Value::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.to_string(), entry.value.to_json())).collect()
            }
            Value::Scalar(scalar) => scalar.to_json(),
        }
    }

    /// What this is, in a reader's words: `the number 80`, `a list`.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
            Value::Scalar(scalar) => scalar.describe(),
        }
    }
}

impl Scalar {
    fn to_json(&self) -> serde_json::Value {
        let text = &*self.text;
        match self.kind {
            ScalarKind::Null => serde_json::Value::Null,
            ScalarKind::Bool => text.eq_ignore_ascii_case("true").into(),
            ScalarKind::Integer => parse_integer(text).and_then(|number| i64::try_from(number).ok()).into(),
            ScalarKind::Float => text.parse::<f64>().ok().into(),
            ScalarKind::String => text.into(),
        }
    }

    fn describe(&self) -> String {
        let text = shorten(&self.text);
        match self.kind {
            ScalarKind::Null => "nothing".to_owned(),
            ScalarKind::Bool => format!("the boolean {text}"),
            ScalarKind::Integer | ScalarKind::Float => format!("the number {text}"),
            ScalarKind::String => format!("the string {text:?}"),
        }
    }
}

/// Keeps a message readable whatever was written into the file.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for Position {
    /// `line:column`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}
