//! helm and kubectl, and where the charts are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a program said and whether it was content.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    /// Both outputs, errors last.
    pub(crate) text: String,
}

impl Said {
    /// The text, of a program that had to succeed.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert!(self.ok, "{}", self.text);
        self.text
    }

    /// The text, of a program that had to fail.
    #[track_caller]
    pub(crate) fn failure(self) -> String {
        assert!(!self.ok, "this was to fail:\n{}", self.text);
        self.text
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { ok: output.status.success(), text: text(&output.stdout) + &text(&output.stderr) }
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether some programs are told. Only outside CI may they be missing.
pub(crate) fn told(variables: &[&str]) -> bool {
    let missing: Vec<&&str> = variables.iter().filter(|name| std::env::var_os(name).is_none()).collect();
    assert!(missing.is_empty() || std::env::var_os("CI").is_none(), "{missing:?} are not told");
    if !missing.is_empty() {
        eprintln!("SKIPPED: {missing:?} are not told; `cargo xtask setup` tells them");
    }
    missing.is_empty()
}

/// helm, which knows of no cluster.
pub(crate) fn helm(arguments: &[&str]) -> Said {
    let mut helm = program("WEFT_HELM");
    helm.args(arguments).env("KUBECONFIG", "/nowhere").output().unwrap().into()
}

/// A program in the repository's root.
pub(crate) fn program(variable: &str) -> Command {
    let mut command = Command::new(std::env::var_os(variable).unwrap());
    command.current_dir(root());
    command
}
