//! From JSON, as the API server sends it, to nodes. No place is known in it: paths say where something is.

use serde_json::Value as Json;

use crate::node::{Entry, Node, Position, Scalar, ScalarKind, Value};

impl Node {
    /// The same tree. How deep it can be was bounded by whoever parsed the JSON.
    pub(crate) fn from_json(json: &Json) -> Self {
        let scalar = |text: &str, kind| Value::Scalar(Scalar { text: text.into(), kind });
        let value = match json {
            Json::Null => scalar("null", ScalarKind::Null),
            Json::Bool(yes) => scalar(if *yes { "true" } else { "false" }, ScalarKind::Bool),
            Json::Number(number) if number.is_f64() => scalar(&number.to_string(), ScalarKind::Float),
            Json::Number(number) => scalar(&number.to_string(), ScalarKind::Integer),
            Json::String(text) => scalar(text, ScalarKind::String),
            Json::Array(items) => Value::Sequence(items.iter().map(Self::from_json).collect()),
            Json::Object(fields) => {
                let entry = |(key, value): (&String, &Json)| Entry {
                    key: key.as_str().into(),
                    at: Position::default(),
                    value: Self::from_json(value),
                };
                Value::Mapping(fields.iter().map(entry).collect())
            }
        };
        Self { at: Position::default(), value }
    }
}
