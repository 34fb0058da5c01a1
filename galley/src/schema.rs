//! The schemas of the API's types: OpenAPI v3 as Kubernetes' custom resource definitions take it (structural).
//!
//! They come from the declarations that also give type and reader, so that the API server asks for what galley reads.

mod definition;
mod docs;
mod leaves;
mod rules;
mod values;

pub use definition::definitions;
pub(crate) use rules::{at_most_one, one_of, rule, selector_or_targets};
pub use values::mesh_config as mesh_config_values;

use serde_json::{Map, Value, json};

/// Marks, until it is written out, what galley knows and refuses.
const UNSERVED: &str = "x-unserved";

/// A type that can say what it looks like.
pub(crate) trait Schema {
    /// The schema, written out in full: the API server knows no references.
    fn schema() -> Value;
}

/// A field of a message, as it is declared.
pub(crate) struct Field {
    /// The name on the wire.
    pub(crate) name: &'static str,
    /// Its documentation, as attributes.
    pub(crate) docs: &'static [&'static str],
    /// The schema of its type.
    pub(crate) schema: fn() -> Value,
    /// Keywords besides.
    pub(crate) rules: Value,
}

/// A message.
///
/// Unknown fields are kept: if the API server pruned `url:` where `uri:` is meant, the webhook would see a rule without
/// conditions, which matches everything. Kept, they reach galley, which refuses them with the right word.
pub(crate) fn object<const N: usize>(docs: &[&str], fields: [Field; N], rules: Value) -> Value {
    let properties: Map<String, Value> =
        fields.into_iter().map(|field| (field.name.to_owned(), described(&field))).collect();
    let mut schema = json!({
        "type": "object",
        "description": docs::text(docs),
        "properties": properties,
        "x-kubernetes-preserve-unknown-fields": true,
    });
    extend(&mut schema, rules);
    schema
}

/// An enumeration: the words, and what each of them means. What they are about is said where they are used.
pub(crate) fn words(words: &[(&str, &[&str])]) -> Value {
    let meanings: Vec<String> = words.iter().map(|(word, docs)| format!("{word}: {}", docs::text(docs))).collect();
    let listed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    json!({
        "type": "string",
        "description": meanings.join(" "),
        "enum": listed,
    })
}

/// The schema of a field: that of its type, under the field's own description.
fn described(field: &Field) -> Value {
    let mut schema = (field.schema)();
    let own = docs::text(field.docs);
    let description = match (schema.get("enum"), schema.get("description").and_then(Value::as_str)) {
        // What the words mean is said with the type.
        (Some(_), Some(words)) => format!("{own} {words}"),
        _ if schema.get(UNSERVED).is_some() => format!("{own} Not supported by this version: it is refused."),
        _ => own,
    };
    extend(&mut schema, json!({ "description": description }));
    extend(&mut schema, field.rules.clone());
    schema
}

/// Adds keywords; validation rules add up.
fn extend(schema: &mut Value, more: Value) {
    let (Value::Object(schema), Value::Object(more)) = (schema, more) else { return };
    for (key, value) in more {
        match (schema.get_mut(&key), value) {
            (Some(Value::Array(there)), Value::Array(new)) if key == "x-kubernetes-validations" => there.extend(new),
            (_, value) => drop(schema.insert(key, value)),
        }
    }
}
