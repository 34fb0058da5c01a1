//! Schemas of the leaves and containers, beside their readers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Schema, UNSERVED, at_most_one};
use crate::api::{Base64, IntOrString, Json, Meaningless, Namespace, StringMatch, Unserved};

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
    Duration => { "type": "string" };
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
