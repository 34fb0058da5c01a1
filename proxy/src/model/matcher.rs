//! Matchers shared by routes and policies, precompiled.

use regex::bytes::Regex;

/// A test of one string (bytes as they came).
#[derive(Clone, Debug)]
pub enum StringMatch {
    /// Equal. With `ignore_case` the stored text is lower case.
    Exact {
        /// What to equal.
        text: Box<[u8]>,
        /// ASCII case is ignored.
        ignore_case: bool,
    },
    /// Begins with.
    Prefix {
        /// What to begin with.
        text: Box<[u8]>,
        /// ASCII case is ignored.
        ignore_case: bool,
    },
    /// Ends with.
    Suffix {
        /// What to end with.
        text: Box<[u8]>,
        /// ASCII case is ignored.
        ignore_case: bool,
    },
    /// Contains.
    Contains {
        /// What to contain.
        text: Box<[u8]>,
        /// ASCII case is ignored.
        ignore_case: bool,
    },
    /// The whole string matches (anchored when it is compiled).
    Regex(Regex),
    /// Always true: the field only has to be there.
    Present,
}

impl StringMatch {
    /// True if these bytes pass.
    pub fn matches(&self, value: &[u8]) -> bool {
        let same = |ignore_case: bool, one: &[u8], other: &[u8]| {
            if ignore_case { one.eq_ignore_ascii_case(other) } else { one == other }
        };
        match self {
            Self::Exact { text, ignore_case } => same(*ignore_case, value, text),
            Self::Prefix { text, ignore_case } => {
                value.get(..text.len()).is_some_and(|start| same(*ignore_case, start, text))
            }
            Self::Suffix { text, ignore_case } => {
                let start = value.len().checked_sub(text.len());
                start.is_some_and(|start| same(*ignore_case, &value[start..], text))
            }
            Self::Contains { text, ignore_case: false } => memchr::memmem::find(value, text).is_some(),
            Self::Contains { text, ignore_case: true } => {
                text.is_empty() || value.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text))
            }
            Self::Regex(regex) => regex.is_match(value),
            Self::Present => true,
        }
    }
}

/// A test of one header field; pseudo fields are named `:authority`, `:method`, `:path`, `:scheme`.
#[derive(Clone, Debug)]
pub struct FieldMatch {
    /// Lower case.
    pub name: Box<str>,
    /// What must hold of its value (of all values joined by `,` where the field repeats).
    pub test: FieldTest,
    /// Turn the result round (`withoutHeaders`, Envoy's `invert_match`).
    pub invert: bool,
    /// An absent field is tested as the empty string (Envoy's `treat_missing_header_as_empty`).
    pub missing_is_empty: bool,
}

/// What is asked of a field.
#[derive(Clone, Debug)]
pub enum FieldTest {
    /// Its value matches.
    Value(StringMatch),
    /// It is there (`true`), or it is not (`false`).
    Present(bool),
    /// Its value is an integer in `start..end`.
    Range(i64, i64),
}

/// A test of the path, without the query.
#[derive(Clone, Debug)]
pub enum PathMatch {
    /// Any path.
    Any,
    /// Equal.
    Exact(Box<[u8]>),
    /// Begins with these bytes.
    Prefix(Box<[u8]>),
    /// Equal, or begins with these bytes and a `/` (Envoy's `path_separated_prefix`; no trailing slash is stored).
    SeparatedPrefix(Box<[u8]>),
    /// The whole path matches.
    Regex(Regex),
    /// A URI template of an `AuthorizationPolicy`: `{*}` is one segment, `{**}` the rest.
    Template(Regex),
}

/// A test of one query parameter.
#[derive(Clone, Debug)]
pub struct QueryMatch {
    /// The parameter.
    pub name: Box<str>,
    /// What must hold of its first value (undecoded, as in Envoy).
    pub test: StringMatch,
}
