//! A process that ends with this one, even if this one is killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Runs its arguments, and kills them once its standard input closes, which the kernel does when our process ends.
/// (The kernel's own parent-death signal follows threads, and a test's thread ends before its servers should.)
const TETHER: &str = r#"
exec 3<&0
"$@" <&- 3<&- &
program=$!
{ read -r _ <&3; kill -KILL "$program"; } 2>&- &
wait "$program"
"#;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Tethered {
    shell: Child,
    log: PathBuf,
}

impl Tethered {
    pub(super) fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let shell = Command::new("sh")
            .args(["-c", TETHER, "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { shell, log: log.to_owned() })
    }

    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(None))
    }

    /// The end of what it wrote.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
