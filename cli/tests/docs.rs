//! The documents are true: their YAML is taken, and `weft` says what they say that it says.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mesh_testkit::docs::{Block, blocks};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every document for users, by its name, with its blocks.
fn documents() -> Vec<(String, Vec<Block>)> {
    let folder = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = folder.filter(|file| file.extension().is_some_and(|end| end == "md")).collect();
    files.push(root().join("README.md"));
    files.sort();
    let name = |file: &Path| file.strip_prefix(root()).unwrap().display().to_string();
    files.iter().map(|file| (name(file), blocks(&fs::read_to_string(file).unwrap()))).collect()
}

#[test]
fn yaml_is_taken() {
    let mut read = 0;
    for (document, blocks) in documents() {
        for block in blocks.iter().filter(|block| block.kind.starts_with("yaml")) {
            let place = format!("{document}, from line {}", block.line);
            let found = galley::load(&place.into(), &block.text).diagnostics;
            assert!(found.is_empty(), "{found:#?}");
            read += 1;
        }
    }
    assert!(read > 0);
}

#[test]
fn commands_say_what_is_written() {
    let mut run = 0;
    for (document, blocks) in documents() {
        for (index, block) in blocks.iter().enumerate() {
            if block.kind == "sh" && block.text.starts_with("weft ") {
                let said = blocks.get(index + 1).filter(|next| next.kind == "text").map(|next| next.text.as_str());
                check(&document, block, said);
                run += 1;
            }
        }
    }
    assert!(run > 0);
}

#[test]
fn links_lead_somewhere() {
    for (document, _) in documents() {
        let text = fs::read_to_string(root().join(&document)).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let here = root().join(&document);
            let file = if file.is_empty() { here } else { here.parent().unwrap().join(file) };
            assert!(file.exists(), "{document}: {target}");
            let found = heading.is_empty() || anchors(&fs::read_to_string(file).unwrap()).any(|one| one == heading);
            assert!(found, "{document}: {target}");
        }
    }
}

/// The names that GitHub gives to headings.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|one| one.is_alphanumeric() || *one == '-').collect()
    })
}

/// Runs a block as it is typed, in the repository. It succeeds, or says word for word what is shown after it.
fn check(document: &str, block: &Block, said: Option<&str>) {
    let programs = Path::new(env!("CARGO_BIN_EXE_weft")).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    let output = bash.args(["-euo", "pipefail", "-c", &block.text]).current_dir(root()).env("PATH", path).output();
    let output = output.unwrap();
    let place = format!("{document}, from line {}: {}", block.line, String::from_utf8_lossy(&output.stderr));
    match said {
        Some(said) => assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{place}"),
        None => assert!(output.status.success(), "{place}"),
    }
}
