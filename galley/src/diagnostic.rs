//! What galley has to say about configuration: refusals, warnings and remarks.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::kind::Kind;
use crate::node::Position;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Info,
    /// The object is taken, but probably does not do what its author wants.
    Warning,
    /// The object is refused; its last good version, if any, stays in force.
    Error,
}

/// What kind of finding it is; stable, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The text is no YAML, or passes a limit.
    Syntax,
    /// The file cannot be read.
    Unreadable,
    /// `apiVersion` and `kind` name nothing that is known.
    UnknownKind,
    /// A field that does not exist.
    UnknownField,
    /// A value of a wrong type.
    WrongType,
    /// A value that the field does not allow.
    Invalid,
    /// A field that must be set is not.
    Missing,
    /// Known to Istio, not served by this version.
    Unsupported,
    /// The same object twice.
    Duplicate,
    /// Two objects that contradict each other; one of them wins.
    Conflict,
    /// Something named that does not exist.
    NotFound,
    /// Something that can never take effect.
    Unreachable,
    /// Still understood, but there is a better way.
    Deprecated,
    /// An object that is none of the mesh's business.
    Ignored,
    /// Allowed, but seldom what is meant.
    Suspicious,
}

/// An object by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for kinds without one.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// The file, as it was named to us; empty if the object did not come from one.
    pub file: Arc<str>,
    /// Where in the file.
    #[serde(flatten)]
    pub position: Position,
    /// How bad.
    pub severity: Severity,
    /// What kind of finding.
    pub code: Code,
    /// The object, as far as it could be made out.
    pub object: Option<ObjectRef>,
    /// The field, such as `spec.http[0].match[0].uri`; empty if it is about the whole object.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Diagnostic {
    /// True if the object is refused because of this.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl Code {
    /// The stable word, as in JSON output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Unreadable => "unreadable",
            Self::UnknownKind => "unknown-kind",
            Self::UnknownField => "unknown-field",
            Self::WrongType => "wrong-type",
            Self::Invalid => "invalid",
            Self::Missing => "missing",
            Self::Unsupported => "unsupported",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::NotFound => "not-found",
            Self::Unreachable => "unreachable",
            Self::Deprecated => "deprecated",
            Self::Ignored => "ignored",
            Self::Suspicious => "suspicious",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for ObjectRef {
    /// `VirtualService default/reviews`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

impl fmt::Display for Diagnostic {
    /// `shop.yaml:12:7: error: VirtualService default/reviews: spec.http[0].match[0].url: unknown field; …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if self.position.line > 0 {
            write!(f, "{}:", self.position)?;
        }
        if !self.file.is_empty() || self.position.line > 0 {
            f.write_str(" ")?;
        }
        write!(f, "{}: ", self.severity)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}
