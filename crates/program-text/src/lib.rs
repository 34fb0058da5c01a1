//! Lets go of program text that a process has run and will hardly run again: that of its start.

use std::ffi::c_void;
use std::fs;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, madvise};

/// Takes the text of the program and of its libraries out of this process's memory. It stays in the kernel's page cache,
/// and what is run again is mapped again when it is, sixteen pages for a microsecond. A debugger's breakpoints, which are
/// written into text, are lost.
///
/// # Errors
/// If `/proc` is not there, or the kernel refuses (`madvise(2)`).
pub fn release() -> io::Result<()> {
    fs::read_to_string("/proc/self/maps")?.lines().filter_map(text).try_for_each(discard)
}

/// Where text of a file is mapped, from a line of `proc_pid_maps(5)`: executable, private and not to be written. The
/// kernel's own pages (`[vdso]`) are no file's.
fn text(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (range, permissions) = (fields.next()?, fields.next()?);
    let path = fields.nth(3)?;
    if permissions != "r-xp" || !path.starts_with('/') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

#[allow(unsafe_code, reason = "advice on memory is unsafe, since some of it loses what was written")]
fn discard(text: Range<usize>) -> io::Result<()> {
    let Some(start) = NonNull::new(text.start as *mut c_void) else { return Ok(()) };
    // SAFETY: a private mapping of a file that may not be written holds what the file holds, and after `MADV_DONTNEED` is
    // read from the file again. It is the kernel that told of the mapping; that one of a library goes meanwhile, and
    // another takes its place, takes `dlclose`, which nothing here calls.
    unsafe { madvise(start, text.len(), MmapAdvise::MADV_DONTNEED) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_file_holds_and_nobody_writes() {
        let line = |permissions: &str, path: &str| format!("1000-3000 {permissions} 00001000 fd:00 123      {path}");
        assert_eq!(text(&line("r-xp", "/usr/bin/a b")), Some(0x1000..0x3000));
        for (permissions, path) in [
            ("r--p", "/usr/bin/a"),
            ("rw-p", "/usr/bin/a"),
            ("rwxp", "/usr/bin/a"),
            ("r-xs", "/usr/bin/a"),
            ("r-xp", "[vdso]"),
            ("r-xp", ""),
        ] {
            assert_eq!(text(&line(permissions, path)), None, "{permissions} {path}");
        }
        for odd in ["", "1000 r-xp 0 0 0 /a", "x-y r-xp 0 0 0 /a", "1000-2000"] {
            assert_eq!(text(odd), None, "{odd}");
        }
    }

    /// Kilobytes of text that are mapped, which the kernel counts page by page.
    fn mapped() -> u64 {
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = smaps.lines();
        let mut sum = 0;
        while let Some(line) = lines.next() {
            if text(line).is_some() {
                let resident = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
                sum += resident.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap();
            }
        }
        sum
    }

    #[test]
    fn text_goes_and_what_runs_comes_back() {
        // A first look maps what looking itself needs.
        mapped();
        let before = mapped();
        release().unwrap();
        let after = mapped();
        assert!(after < before, "{after} of {before} kB");
        assert!(after > 0);
    }
}
