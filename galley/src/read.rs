//! From nodes to typed values, strictly: every field that is not known and every value of a wrong type is reported,
//! each with its path and place, and all of them at once.

mod macros;
mod map;
mod scalar;
mod suggest;

pub(crate) use macros::{object, words};
pub(crate) use scalar::parse_integer;
pub(crate) use suggest::did_you_mean;

use std::borrow::Cow;

use crate::diagnostic::{Code, Severity};
use crate::node::{Entry, Node, Position, Value};
use crate::path::{FieldPath, Step};

/// A type that can be read from a node. `None` means that something was reported.
pub(crate) trait Read: Sized {
    /// Reads the value, reporting to `reader` whatever is wrong.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;
}

/// A finding inside one object, before it is known whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    pub(crate) code: Code,
    pub(crate) path: FieldPath,
    pub(crate) at: Position,
    pub(crate) message: String,
}

/// Where the reading stands, and what it found.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    path: FieldPath,
    problems: Vec<Problem>,
}

impl Reader {
    /// Ends the reading: all that was found.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Reports an error at a place under the current path.
    pub(crate) fn error(&mut self, code: Code, at: Position, message: String) {
        let path = self.path.clone();
        self.problems.push(Problem { severity: Severity::Error, code, path, at, message });
    }

    /// Reports that a node is not what was expected.
    pub(crate) fn wrong_type(&mut self, node: &Node, expected: &str) {
        self.error(Code::WrongType, node.at, format!("expected {expected}, found {}", node.describe()));
    }

    /// Reads the value of a field into its place. An explicit null is as good as an absent field.
    pub(crate) fn field<T: Read>(&mut self, entry: &Entry, place: &mut T) {
        if entry.value.is_null() {
            return;
        }
        if let Some(value) = self.within(step(entry), |reader| T::read(&entry.value, reader)) {
            *place = value;
        }
    }

    /// Reports a field that does not exist among `known`.
    pub(crate) fn unknown(&mut self, entry: &Entry, known: &[&str]) {
        let hint = match did_you_mean(&entry.key, known) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        let message = format!("unknown field; {hint}");
        self.within(step(entry), |reader| reader.error(Code::UnknownField, entry.at, message));
    }

    /// Does something one step further down.
    pub(crate) fn within<T>(&mut self, step: Step, work: impl FnOnce(&mut Self) -> T) -> T {
        self.path.0.push(step);
        let result = work(self);
        self.path.0.pop();
        result
    }

    /// The entries of a mapping, or a report that it is none.
    pub(crate) fn mapping<'a>(&mut self, node: &'a Node) -> Option<&'a [Entry]> {
        match &node.value {
            Value::Mapping(entries) => Some(entries),
            _ => {
                self.wrong_type(node, "a mapping");
                None
            }
        }
    }

    /// The elements of a list, or a report that it is none.
    pub(crate) fn sequence<'a>(&mut self, node: &'a Node) -> Option<&'a [Node]> {
        match &node.value {
            Value::Sequence(items) => Some(items),
            _ => {
                self.wrong_type(node, "a list");
                None
            }
        }
    }
}

/// The step to an entry's value.
pub(crate) fn step(entry: &Entry) -> Step {
    Step::Field(Cow::Owned(entry.key.to_string()))
}
