//! Documents of a YAML text: each as it is written, and as an object, so that what is not changed is passed on as it
//! came.

use anyhow::{Context, Result};
use serde_json::Value;

/// One document.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    /// As it is written, with a line break at its end.
    pub(super) text: String,
    /// As an object; `None` if it holds comments only.
    pub(super) object: Option<Value>,
}

/// The documents of a text.
pub(super) fn read(text: &str) -> Result<Vec<Document>> {
    let written = split(text).into_iter().filter(|text| !text.trim().is_empty());
    let read = written.enumerate().map(|(index, text)| {
        let object = object(&text).with_context(|| format!("document {}", index + 1))?;
        Ok(Document { text, object })
    });
    read.collect()
}

/// A field of a text's only document, as YAML; empty if it is not there.
pub(super) fn field(text: &str, field: &str) -> Result<String> {
    let Some(value) = object(text)?.and_then(|values| values.get(field).cloned()) else { return Ok(String::new()) };
    Ok(serde_yaml_ng::to_string(&value)?)
}

/// Parts at lines that begin a document.
fn split(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        let line = match line.strip_prefix("---") {
            Some(rest) if rest.trim().is_empty() || rest.starts_with([' ', '\t']) => {
                documents.push(String::new());
                rest.trim()
            }
            _ => line,
        };
        if let Some(document) = documents.last_mut().filter(|document| !line.is_empty() || !document.is_empty()) {
            document.push_str(line);
            document.push('\n');
        }
    }
    documents
}

fn object(text: &str) -> Result<Option<Value>> {
    let mut tree: serde_yaml_ng::Value = serde_yaml_ng::from_str(text)?;
    tree.apply_merge()?;
    let mut object = serde_json::to_value(tree)?;
    octal_modes(&mut object);
    Ok(Some(object).filter(|object| !object.is_null()))
}

/// Modes of files are written as in YAML 1.1, which `kubectl` reads: `0644` is octal, where YAML 1.2 has a word.
fn octal_modes(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let octal = match &*value {
                    Value::String(text) if key == "mode" || key == "defaultMode" => text.strip_prefix('0'),
                    _ => None,
                };
                match octal.and_then(|digits| u32::from_str_radix(digits.trim_start_matches('o'), 8).ok()) {
                    Some(mode) => *value = mode.into(),
                    None => octal_modes(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(octal_modes),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_keep_what_is_written() {
        let text = "# first\nkind: A # why\n--- # second\n# nothing\n---\n\nkind: B\nx: |\n  ---\n--- {kind: C}\n";
        let documents = read(text).unwrap();
        let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
        assert_eq!(
            texts,
            ["# first\nkind: A # why\n", "# second\n# nothing\n", "kind: B\nx: |\n  ---\n", "{kind: C}\n"]
        );
        assert_eq!(documents[1].object, None);
        assert_eq!(documents[2].object, Some(json!({ "kind": "B", "x": "---\n" })));
    }

    #[test]
    fn numbers_are_what_kubectl_reads() {
        let text = "a: &a { defaultMode: 0644 }\nb: { mode: 0o640, name: 0644 }\nc: { <<: *a }\nd: { mode: 420 }\n";
        assert_eq!(
            object(text).unwrap(),
            Some(json!({
                "a": { "defaultMode": 420 }, "b": { "mode": 416, "name": "0644" },
                "c": { "defaultMode": 420 }, "d": { "mode": 420 },
            }))
        );
    }
}
