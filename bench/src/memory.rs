//! Memory of processes.

use std::fs;

use anyhow::{Context, Result};

/// What a process holds, in MB of 1,048,576 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    /// All that is resident.
    pub(crate) resident: f64,
    /// What of it is the process's own: no program text, no files.
    pub(crate) anonymous: f64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/status");
        let text = fs::read_to_string(&path).with_context(|| format!("{path}: the process has ended"))?;
        Self::parse(&text).with_context(|| format!("{path} has another form"))
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kilobytes / 1024.0)
        };
        Some(Self { resident: field("VmRSS:")?, anonymous: field("RssAnon:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_are_read() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t     512 kB\nRssFile:\t 1536 kB\n";
        assert_eq!(Memory::parse(status), Some(Memory { resident: 2.0, anonymous: 0.5 }));
    }
}
