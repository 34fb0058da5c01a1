//! Readers of the leaves: strings, numbers, words, durations.

use std::time::Duration;

use super::{Read, Reader, did_you_mean};
use crate::diagnostic::Code;
use crate::node::{Node, Scalar, ScalarKind, Value, shorten};

impl Reader {
    /// The scalar of a node, or a report that it is none.
    pub(crate) fn scalar<'a>(&mut self, node: &'a Node, expected: &str) -> Option<&'a Scalar> {
        match &node.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => {
                self.wrong_type(node, expected);
                None
            }
        }
    }

    /// The text of a string, or a report that it is none.
    pub(crate) fn string<'a>(&mut self, node: &'a Node, expected: &str) -> Option<&'a str> {
        let scalar = self.scalar(node, expected)?;
        if scalar.kind == ScalarKind::String {
            return Some(&scalar.text);
        }
        let hint = if scalar.kind == ScalarKind::Null { "" } else { "; put it in quotes" };
        let message = format!("expected {expected}, found {}{hint}", node.describe());
        self.error(Code::WrongType, node.at, message);
        None
    }

    /// One word of an enumeration, or a report that names them all.
    pub(crate) fn word<'a>(&mut self, node: &'a Node, words: &[&str]) -> Option<&'a str> {
        let text = self.string(node, &format!("one of {}", words.join(", ")))?;
        if words.contains(&text) {
            return Some(text);
        }
        let hint = did_you_mean(text, words).map(|word| format!("; did you mean {word}?")).unwrap_or_default();
        let message = format!("{:?} is not one of {}{hint}", shorten(text), words.join(", "));
        self.error(Code::Invalid, node.at, message);
        None
    }

    /// A whole number within bounds.
    fn integer(&mut self, node: &Node, least: i128, most: i128) -> Option<i128> {
        let expected = format!("a whole number from {least} to {most}");
        let scalar = self.scalar(node, &expected)?;
        let number = if scalar.kind == ScalarKind::Integer { parse_integer(&scalar.text) } else { None };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let quoted = scalar.kind == ScalarKind::String && parse_integer(&scalar.text).is_some();
            let hint = if quoted { "; write it without quotes" } else { "" };
            self.error(Code::WrongType, node.at, format!("expected {expected}, found {}{hint}", node.describe()));
        }
        number
    }
}

impl Read for String {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.string(node, "a string").map(str::to_owned)
    }
}

impl Read for bool {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let scalar = reader.scalar(node, "true or false")?;
        match (scalar.kind, &*scalar.text) {
            (ScalarKind::Bool, text) => Some(text.eq_ignore_ascii_case("true")),
            _ => {
                reader.wrong_type(node, "true or false");
                None
            }
        }
    }
}

/// Implements `Read` for an integer type over its whole range.
macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Read for $type {
            fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
                let number = reader.integer(node, <$type>::MIN.into(), <$type>::MAX.into())?;
                <$type>::try_from(number).ok()
            }
        }
    )*};
}

integers!(u16, u32, u64, i32, i64);

impl Read for f64 {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let scalar = reader.scalar(node, "a number")?;
        let number = match scalar.kind {
            ScalarKind::Integer => parse_integer(&scalar.text).map(|number| number as f64),
            ScalarKind::Float => scalar.text.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        };
        if number.is_none() {
            reader.wrong_type(node, "a number");
        }
        number
    }
}

impl Read for Duration {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        const EXPECTED: &str = "a duration such as 500ms, 1.5s or 2h45m";
        let text = reader.string(node, EXPECTED)?;
        let duration = mesh_types::duration::parse(text);
        if duration.is_none() {
            reader.wrong_type(node, EXPECTED);
        }
        duration
    }
}

/// Reads decimal, `0x` and `0o` integers, as YAML's core schema writes them.
pub(crate) fn parse_integer(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i128::from_str_radix(digits, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i128::from_str_radix(digits, 8).ok();
    }
    text.parse().ok()
}
