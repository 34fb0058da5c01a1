//! Paths of fields, as messages write them: `spec.http[0].match[1].uri`.

use std::borrow::Cow;
use std::fmt;

/// One step down into an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A field of a message, or a key of a map.
    Field(Cow<'static, str>),
    /// An element of a list, counted from 0.
    Index(usize),
}

/// The way from an object's root to one of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldPath(pub(crate) Vec<Step>);

impl FieldPath {
    /// The path with one more field.
    pub(crate) fn field(&self, name: &'static str) -> Self {
        self.with(Step::Field(Cow::Borrowed(name)))
    }

    /// The path with one more key of a map.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Step::Field(Cow::Owned(key.to_owned())))
    }

    /// The path with one more index.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.extend_from_slice(&self.0);
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Field(name) if !is_word(name) => write!(f, "[{name:?}]")?,
                Step::Field(name) if position == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

/// Names that need no brackets.
fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_a_user_would_write_them() {
        let path = FieldPath::default().field("spec").field("http").index(0).field("match").index(12).field("uri");
        assert_eq!(path.to_string(), "spec.http[0].match[12].uri");
        let path = FieldPath::default().field("metadata").field("labels").key("app.kubernetes.io/name");
        assert_eq!(path.to_string(), "metadata.labels[\"app.kubernetes.io/name\"]");
    }
}
