//! What the kubelet writes of the pod into files (the downward API).

use std::path::Path;

use mesh_types::Labels;

use super::reader::Reader;

/// The pod's labels.
const LABELS: &str = "/etc/istio/pod/labels";

/// The pod's labels, if there is such a file.
pub(super) fn labels(reader: &mut Reader) -> Option<Labels> {
    if !Path::new(LABELS).exists() {
        return None;
    }
    let text = std::fs::read_to_string(LABELS).map_err(|error| reader.problem(format!("{LABELS}: {error}"))).ok()?;
    Some(parse(&text))
}

/// Lines of `key="value"`, the value quoted as Go quotes strings. A line that is none says nothing.
fn parse(text: &str) -> Labels {
    let pair = |line: &str| {
        let (key, value) = line.split_once('=')?;
        // The characters that a label may have are quoted in JSON as in Go.
        Some((key.to_owned(), serde_json::from_str(value).ok()?))
    };
    text.lines().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_are_read_as_the_kubelet_writes_them() {
        let labels = parse("app=\"web\"\nversion=\"v2\"\nempty=\"\"\nnonsense\n");
        let expected = [("app", "web"), ("version", "v2"), ("empty", "")];
        assert_eq!(labels, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            parse(&text);
        }
    }
}
