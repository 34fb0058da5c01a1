//! Schemas of the leaves and containers, beside their readers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Schema, UNSERVED, at_most_one};
use crate::api::{Base64, IntOrString, Json, Meaningless, Namespace, StringMatch, Unserved};

/// What `mesh_types::duration` reads, but for its range, which no pattern can tell.
///
/// Not Istio's rule in CEL (`duration(self)`): of what the API server lets the rules of a kind cost by its estimate, those
/// for the durations of a DestinationRule, whose lists have no end, would leave not enough for one more.
const DURATION: &str = r"^(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(h|m|s|ms|us|µs|μs|ns))+)$";

/// Implements `Schema` by an expression.
macro_rules! schemas {
    ($( $type:ty => $schema:tt; )*) => {
        $( impl Schema for $type { fn schema() -> Value { json!($schema) } } )*
    };
}

schemas! {
    String => { "type": "string" };
    bool => { "type": "boolean" };
    u16 => { "type": "integer", "minimum": 0, "maximum": u16::MAX };
    u32 => { "type": "integer", "minimum": 0, "maximum": u32::MAX };
    u64 => { "type": "integer", "minimum": 0 };
    i32 => { "type": "integer", "format": "int32" };
    i64 => { "type": "integer", "format": "int64" };
    f64 => { "type": "number", "format": "double" };
    Duration => { "type": "string", "pattern": DURATION };
    IntOrString => { "x-kubernetes-int-or-string": true };
    Base64 => { "type": "string", "format": "byte" };
    Unserved => { "x-kubernetes-preserve-unknown-fields": true, UNSERVED: true };
    Meaningless => { "x-kubernetes-preserve-unknown-fields": true };
    Json => { "type": "object", "x-kubernetes-preserve-unknown-fields": true };
    Namespace => { "type": "object", "x-kubernetes-preserve-unknown-fields": true };
    StringMatch => {
        "type": "object",
        "properties": {
            "exact": { "type": "string", "description": "Equal." },
            "prefix": { "type": "string", "description": "Begins with." },
            "regex": { "type": "string", "description": "The whole string matches this RE2 expression." }
        },
        "oneOf": (at_most_one(&["exact", "prefix", "regex"])),
        "x-kubernetes-preserve-unknown-fields": true
    };
}

impl<T: Schema> Schema for Option<T> {
    fn schema() -> Value {
        T::schema()
    }
}

impl<T: Schema> Schema for Vec<T> {
    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

impl<K, T: Schema> Schema for BTreeMap<K, T> {
    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use regex::Regex;

    use super::DURATION;

    /// Of so few that none is longer than a duration can be.
    const PARTS: &[&str] =
        &["0", "7", "12", ".", "h", "m", "s", "ms", "us", "µs", "μs", "ns", "d", "e", "+", "-", " ", "\n"];

    #[test]
    fn the_pattern_of_durations_is_what_is_read() {
        let pattern = Regex::new(DURATION).unwrap();
        proptest!(ProptestConfig::with_cases(20_000), |(parts in vec(select(PARTS), 0..6))| {
            let text = parts.concat();
            prop_assert_eq!(pattern.is_match(&text), mesh_types::duration::parse(&text).is_some(), "{:?}", text);
        });
    }
}
