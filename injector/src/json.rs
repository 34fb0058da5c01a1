//! Small steps through JSON that is kept as it is.

use serde_json::{Map, Value};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// The object under a key, made if there is none.
pub(crate) fn object_in<'a>(map: &'a mut Object, key: &str) -> &'a mut Object {
    as_object(map.entry(key).or_insert(Value::Null))
}

/// The value as an object, which it becomes if it is none.
fn as_object(value: &mut Value) -> &mut Object {
    match value {
        Value::Object(map) => map,
        other => {
            *other = Value::Object(Object::new());
            as_object(other)
        }
    }
}

/// The list under a key, made if there is none.
pub(crate) fn list_in<'a>(map: &'a mut Object, key: &str) -> &'a mut Vec<Value> {
    as_list(map.entry(key).or_insert(Value::Null))
}

fn as_list(value: &mut Value) -> &mut Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => {
            *other = Value::Array(Vec::new());
            as_list(other)
        }
    }
}

/// The text under a key.
pub(crate) fn text<'a>(map: &'a Object, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str)
}

/// The elements of the list under a key; none if there is no list.
pub(crate) fn items<'a>(map: &'a Object, key: &str) -> &'a [Value] {
    map.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The objects in the list under a key.
pub(crate) fn objects<'a>(map: &'a Object, key: &str) -> impl Iterator<Item = &'a Object> {
    items(map, key).iter().filter_map(Value::as_object)
}

/// An object out of a `json!` literal; empty if it is none.
pub(crate) fn object(value: Value) -> Object {
    match value {
        Value::Object(map) => map,
        _ => Object::new(),
    }
}

/// JSON in which Kubernetes finds no `$(VARIABLE)` to expand: a `$` stands only inside strings, where JSON lets it be
/// written by its number.
pub(crate) fn unexpanded(value: &Value) -> String {
    value.to_string().replace('$', "\\u0024")
}
