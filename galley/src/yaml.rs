//! From YAML text to documents of nodes, with bounds on what a text can cost.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::node::{Entry, Node, Position, Scalar, ScalarKind, Value};

/// Mappings and lists in one another.
const DEEPEST: usize = 64;
/// Nodes of one text.
const MOST_NODES: usize = 2_000_000;
/// Bytes of one text.
const LONGEST: usize = 64 * 1024 * 1024;

/// Why a text is no YAML that is read.
#[derive(Clone, Debug)]
pub(crate) struct SyntaxError {
    pub(crate) at: Position,
    pub(crate) message: String,
}

/// The documents of a text, without empty ones.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, SyntaxError> {
    if text.len() > LONGEST {
        return Err(SyntaxError { at: Position::default(), message: format!("has more than {LONGEST} bytes") });
    }
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| SyntaxError {
            at: Position { line: small(error.marker().line()), column: small(error.marker().col() + 1) },
            message: error.info().to_owned(),
        })?;
        builder.take(event, &span)?;
    }
    Ok(builder.documents)
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    documents: Vec<Node>,
    nodes: usize,
}

/// A collection that is not complete yet.
enum Open {
    Sequence(Position, Vec<Node>),
    Mapping(Position, Vec<Entry>, Option<(Box<str>, Position)>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), SyntaxError> {
        let at = Position { line: small(span.start.line()), column: small(span.start.col() + 1) };
        let error = |message: &str| Err(SyntaxError { at, message: message.to_owned() });
        match event {
            Event::Alias(_) => return error("aliases (`*name`) are not supported: write the value out"),
            Event::Scalar(text, style, _, _) => {
                let kind = if style == ScalarStyle::Plain { plain_kind(&text) } else { ScalarKind::String };
                self.add(Node { at, value: Value::Scalar(Scalar { text: text.into(), kind }) })?;
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if self.open.len() == DEEPEST => {
                return error("is nested too deeply");
            }
            Event::SequenceStart(..) => self.open.push(Open::Sequence(at, Vec::new())),
            Event::MappingStart(..) => self.open.push(Open::Mapping(at, Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.open.pop() {
                    Some(Open::Sequence(at, items)) => Node { at, value: Value::Sequence(items) },
                    Some(Open::Mapping(at, entries, _)) => Node { at, value: Value::Mapping(entries) },
                    None => return error("ends what did not begin"),
                };
                self.add(node)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn add(&mut self, node: Node) -> Result<(), SyntaxError> {
        self.nodes += 1;
        let error = |at, message: String| Err(SyntaxError { at, message });
        if self.nodes > MOST_NODES {
            return error(node.at, format!("has more than {MOST_NODES} values"));
        }
        match self.open.last_mut() {
            None if node.is_null() => {}
            None => self.documents.push(node),
            Some(Open::Sequence(_, items)) => items.push(node),
            Some(Open::Mapping(_, entries, key)) => match key.take() {
                Some((name, at)) => entries.push(Entry { key: name, at, value: node }),
                None => match node.value {
                    Value::Scalar(scalar) if entries.iter().any(|entry| entry.key == scalar.text) => {
                        return error(node.at, format!("the key {:?} stands here twice", scalar.text));
                    }
                    Value::Scalar(scalar) => *key = Some((scalar.text, node.at)),
                    _ => return error(node.at, "a key must be a plain word".to_owned()),
                },
            },
        }
        Ok(())
    }
}

/// YAML 1.2's core schema.
fn plain_kind(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => ScalarKind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => ScalarKind::Bool,
        _ if is_integer(text) => ScalarKind::Integer,
        _ if is_float(text) => ScalarKind::Float,
        _ => ScalarKind::String,
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_float(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    starts && text.bytes().any(|b| b.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documents_know_where_they_stand() {
        let text = "kind: A\nlist:\n  - x: 1\n---\n# nothing\n---\nkind: B\n";
        let documents = documents(text).unwrap();
        assert_eq!(documents.len(), 2);
        let list = documents[0].get("list").unwrap();
        assert_eq!(list.at, Position { line: 2, column: 1 });
        assert_eq!(documents[1].get("kind").and_then(|entry| entry.value.as_str()), Some("B"));
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_place() {
        for bad in ["a: [", "a: 1\na: 2\n", "a: &x 1\nb: *x\n", "? [a]\n: b\n"] {
            assert!(documents(bad).is_err(), "{bad:?}");
        }
        assert_eq!(documents("a: 1\na: 2\n").unwrap_err().at.line, 2);
        assert!(documents(&"[".repeat(100)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}", lines in proptest::collection::vec("[ a-c:\\-\\[\\]{},&*\"'|>#]{0,12}", 0..12)) {
            let _ = documents(&text);
            let _ = documents(&lines.join("\n"));
        }
    }
}
