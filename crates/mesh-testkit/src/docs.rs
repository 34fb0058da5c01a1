//! Blocks of code in Markdown, so that tests run what readers are told to type.

/// A block between fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line on which its text begins, counted from 1.
    pub line: usize,
    /// What the fence says: `sh`, `yaml`, `sh elsewhere`.
    pub kind: String,
    /// What stands between the fences.
    pub text: String,
}

/// All blocks of a document, in their order. One that does not end goes to the end of the document.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in markdown.lines().enumerate() {
        open = match (open, line.strip_prefix("```")) {
            (None, None) => None,
            (None, Some(kind)) => Some(Block { line: index + 2, kind: kind.trim().to_owned(), text: String::new() }),
            (Some(block), Some(_)) => {
                blocks.push(block);
                None
            }
            (Some(mut block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
                Some(block)
            }
        };
    }
    blocks.extend(open);
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_kind_and_place() {
        let found = blocks("# A\n\n```sh elsewhere\none\ntwo\n```\nwords `sh`\n```\nthree\n");
        let expected = [(4, "sh elsewhere", "one\ntwo\n"), (9, "", "three\n")].map(|(line, kind, text)| Block {
            line,
            kind: kind.to_owned(),
            text: text.to_owned(),
        });
        assert_eq!(found, expected);
    }
}
