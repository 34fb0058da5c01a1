//! Parts that several kinds share.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::diagnostic::Code;
use crate::node::{Node, ScalarKind, Value};
use crate::read::{Read, Reader, object, words};

/// A test of a string. In `headers`, an empty match asks only that the field is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum StringMatch {
    /// Nothing was said.
    #[default]
    Present,
    /// Equal.
    Exact(String),
    /// Begins with.
    Prefix(String),
    /// The whole string matches this RE2 expression.
    Regex(String),
}

/// A field of Istio's that this version does not serve. Its content is not looked at; that it is set is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unserved(());

/// Content that only another program understands, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Json(pub serde_json::Value);

/// A field that Istio itself takes and does not look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaningless;

/// A number or a name, as Kubernetes' `targetPort` takes them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IntOrString {
    /// A port number.
    Int(u16),
    /// A port's name.
    String(String),
}

/// Bytes that are written in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Base64(pub Vec<u8>);

object! {
    /// A port by number.
    #[derive(Eq, Hash)]
    pub struct PortSelector {
        /// 1 to 65535.
        number: u16 = "number" where { "minimum": 1 },
    }
    where { "required": ["number"] }
}

object! {
    /// A Kubernetes label selector. Empty selects everything.
    #[derive(Eq)]
    pub struct LabelSelector {
        /// All of these must be equal.
        match_labels: mesh_types::Labels = "matchLabels",
        /// All of these must hold.
        match_expressions: Vec<LabelSelectorRequirement> = "matchExpressions",
    }
}

object! {
    /// One expression of a label selector.
    #[derive(Eq)]
    pub struct LabelSelectorRequirement {
        /// The label.
        key: String = "key",
        /// How it relates to the values.
        operator: SelectorOperator = "operator",
        /// The values; none for `Exists` and `DoesNotExist`.
        values: Vec<String> = "values",
    }
}

words! {
    /// How a label relates to the values of a selector.
    pub enum SelectorOperator {
        /// It is one of them.
        In = "In",
        /// It is none of them, or absent.
        NotIn = "NotIn",
        /// It is there.
        Exists = "Exists",
        /// It is not there.
        DoesNotExist = "DoesNotExist",
    }
}

impl LabelSelector {
    /// True if labels satisfy every part of the selector.
    pub fn matches(&self, labels: &mesh_types::Labels) -> bool {
        let equal = self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        equal && self.match_expressions.iter().all(|expression| expression.matches(labels))
    }
}

impl LabelSelectorRequirement {
    fn matches(&self, labels: &mesh_types::Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            SelectorOperator::In => listed,
            SelectorOperator::NotIn => !listed,
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    }
}

impl Read for StringMatch {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        const FIELDS: &[&str] = &["exact", "prefix", "regex"];
        let mut found = Vec::new();
        for entry in reader.mapping(node)? {
            let mut text: Option<String> = None;
            match &*entry.key {
                "exact" | "prefix" | "regex" => reader.field(entry, &mut text),
                _ => reader.unknown(entry, FIELDS),
            }
            found.extend(text.map(|text| match &*entry.key {
                "exact" => Self::Exact(text),
                "prefix" => Self::Prefix(text),
                _ => Self::Regex(text),
            }));
        }
        if found.len() > 1 {
            let message = "exactly one of exact, prefix and regex can be set; keep one".to_owned();
            reader.error(Code::Invalid, node.at, message);
            return None;
        }
        Some(found.pop().unwrap_or_default())
    }
}

impl Read for Unserved {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.error(Code::Unsupported, node.at, "is not supported by this version".to_owned());
        None
    }
}

impl Read for Json {
    fn read(node: &Node, _: &mut Reader) -> Option<Self> {
        Some(Self(node.to_json()))
    }
}

impl Read for Meaningless {
    fn read(_: &Node, _: &mut Reader) -> Option<Self> {
        Some(Self)
    }
}

impl Read for IntOrString {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if scalar.kind == ScalarKind::String => Some(Self::String(scalar.text.to_string())),
            _ => u16::read(node, reader).map(Self::Int),
        }
    }
}

impl Read for Base64 {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = reader.string(node, "a string in base64")?;
        let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let Ok(bytes) = STANDARD.decode(packed) else {
            reader.error(Code::Invalid, node.at, "this is no base64".to_owned());
            return None;
        };
        Some(Self(bytes))
    }
}
