//! Documentation, from the attributes that carry it.

/// The text of a declaration's documentation: its lines in one, without Markdown's quotes.
pub(crate) fn text(attributes: &[&str]) -> String {
    let lines: Vec<String> = attributes.iter().filter_map(|attribute| line(attribute)).collect();
    lines.join(" ").replace('`', "")
}

/// One line: of `doc = " text"` or `doc = r" text"`; none of other attributes.
fn line(attribute: &str) -> Option<String> {
    let literal = attribute.strip_prefix("doc")?.trim_start().strip_prefix('=')?.trim_start();
    if let Some(raw) = literal.strip_prefix('r') {
        let raw = raw.trim_matches('#').strip_prefix('"')?.strip_suffix('"')?;
        return Some(raw.trim().to_owned());
    }
    let quoted = literal.strip_prefix('"')?.strip_suffix('"')?;
    Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\").trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn documentation_is_its_text() {
        let attributes = ["doc = r\" Named `a`,\"", "derive(Eq)", "doc = \" or \\\"b\\\".\"", "doc = r#\" \"c\"\"#"];
        assert_eq!(text(&attributes), "Named a, or \"b\". \"c\"");
    }
}
