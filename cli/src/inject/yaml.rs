//! YAML that every reader takes for the same: `kubectl` reads YAML 1.1, where `yes` is a truth and `1_000` a number.

use serde_json::Value;

/// An object as YAML in blocks. Words that some reader could take for anything else are quoted, as JSON quotes them.
pub(super) fn write(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// A value on lines of its own.
fn block(value: &Value, indent: usize, text: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                text.push_str(&format!("{pad}{}:", word(key)));
                after_key(value, indent, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let start = text.len();
                block(item, indent + 1, text);
                // The first line of the item stands behind the dash.
                text.replace_range(start + pad.len()..start + pad.len() + 2, "- ");
            }
        }
        scalar => text.push_str(&format!("{pad}{}\n", inline(scalar))),
    }
}

fn after_key(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            block(value, indent + 1, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(value, indent, text);
        }
        scalar => text.push_str(&format!(" {}\n", inline(scalar))),
    }
}

/// A value on one line: a scalar, or an empty collection.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        other => other.to_string(),
    }
}

/// Words that are more than words to some reader.
const SPECIAL: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

fn word(text: &str) -> String {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-' | '_');
    let is_special = SPECIAL.iter().any(|special| special.eq_ignore_ascii_case(text));
    if begins && text.chars().all(plain) && !is_special { text.to_owned() } else { quoted(text) }
}

/// As JSON quotes it, with the characters by their number that YAML does not let stand.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for c in Value::from(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_stand_in_blocks() {
        let object = json!({
            "a": [{ "b": "x", "c": [1, [2, "3"]] }, "word", {}],
            "d": { "e": null, "f": [], "g": { "yes": "no" } },
            "h": "two\nlines: \"quoted\"",
        });
        let want = "a:\n- b: x\n  c:\n  - 1\n  - - 2\n    - \"3\"\n- word\n- {}\nd:\n  e: null\n  f: []\n  g:\n    \"yes\": \"no\"\nh: \"two\\nlines: \\\"quoted\\\"\"\n";
        assert_eq!(write(&object), want);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let words = [
            "",
            "yes",
            "Off",
            "1",
            "1_000",
            "0644",
            "1e3",
            "12:30",
            "~",
            "a: b",
            "# a",
            "-",
            "- a",
            "*",
            "&a",
            "!x",
            "%",
            "@",
            "`",
            "a #b",
            "'",
            "\"",
            "\\",
            "\t",
            "é",
            "\u{7f}",
            "=",
            "<<",
            ".inf",
            "a/b-c_d.e",
            "/x",
            "null",
            "{}",
            "[a]",
            "two\nlines\n",
            " x ",
            "0x1F",
            "2001-01-01",
            "\u{85}",
            "\u{2028}",
        ];
        for text in words {
            let value = json!({ text: [text, { "a": text }] });
            let read: Value = serde_yaml_ng::from_str(&write(&value)).unwrap();
            assert_eq!(read, value, "{text:?}");
        }
    }
}
