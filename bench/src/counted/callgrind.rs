//! A proxy under callgrind, which counts its instructions and calls.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use mesh_testkit::lab::{Pod, Process, User};

use super::budget::Cost;
use crate::pair;
use crate::peer::{Launch, Peer, Side, Work};
use crate::site::Site;

/// The name of profiles, which a number follows.
const PROFILE: &str = "profile";
/// Where the allocator is entered for more memory.
const ALLOCATING: &[&str] = &["_rjem_malloc", "_rjem_calloc", "_rjem_mallocx", "_rjem_realloc", "_rjem_rallocx"];

/// Fails where nothing can be counted.
pub(super) fn check() -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "budgets are those of x86-64");
    let valgrind = Command::new("valgrind").arg("--version").output();
    ensure!(valgrind.is_ok_and(|output| output.status.success()), "valgrind does not run; Debian's package has it");
    Ok(())
}

/// A proxy that runs slowly, and whose instructions are counted from one [`Counted::take`] to the next.
pub(super) struct Counted<'a> {
    pod: &'a Pod,
    process: Process,
    directory: PathBuf,
}

impl<'a> Counted<'a> {
    /// Starts it, and waits until it is ready.
    pub(super) fn start(site: &'a Site, side: Side) -> Result<Self> {
        let (launch, directory) = pair::launch(site, Peer::Weft, Work::Http1, side)?;
        let (process, _) = pair::run(site, &under_callgrind(launch, &directory), "counted", side)?;
        Ok(Self { pod: site.pod(side), process, directory })
    }

    /// What its worker spent since the last time. What other threads do at fixed times would weigh more the slower the
    /// machine is; the worker is the busiest.
    pub(super) fn take(&self) -> Result<Cost> {
        // Valgrind lets nobody in but its own user, and keeps everybody else waiting for ever.
        let mut vgdb = self.pod.command(User::Proxy, "vgdb");
        vgdb.arg(format!("--vgdb-prefix={}", prefix(&self.directory)));
        let told = vgdb.arg(format!("--pid={}", self.process.id())).arg("dump").output().context("cannot run vgdb")?;
        let said = || String::from_utf8_lossy(&[told.stdout.as_slice(), &told.stderr].concat()).into_owned();
        ensure!(told.status.success(), "vgdb: {}: {}", told.status, said());
        let threads = self.profiles()?.into_iter().map(|file| {
            let text = fs::read_to_string(&file)?;
            fs::remove_file(&file)?;
            parse(&text).with_context(|| format!("{} is no profile", file.display()))
        });
        let threads = threads.collect::<Result<Vec<_>>>()?;
        let busiest = threads.into_iter().max_by(|one, other| one.instructions.total_cmp(&other.instructions));
        busiest.with_context(|| format!("there is no profile; vgdb says: {}", said()))
    }

    /// The files that were written last, of each thread one: those before them were removed.
    fn profiles(&self) -> Result<Vec<PathBuf>> {
        let mut files = fs::read_dir(&self.directory)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
        files.retain(|file| file.file_stem().is_some_and(|stem| stem == PROFILE) && file.extension().is_some());
        Ok(files)
    }

    /// What it said.
    pub(super) fn output(&self) -> String {
        self.process.output()
    }
}

fn under_callgrind(launch: Launch, directory: &Path) -> Launch {
    let options = [
        "--tool=callgrind".to_owned(),
        "--compress-strings=no".to_owned(),
        "--separate-threads=yes".to_owned(),
        format!("--callgrind-out-file={}", directory.join(PROFILE).display()),
        format!("--vgdb-prefix={}", prefix(directory)),
        launch.program.display().to_string(),
    ];
    Launch { program: "valgrind".into(), arguments: options.into_iter().chain(launch.arguments).collect(), ..launch }
}

/// Where valgrind and those who ask it meet.
fn prefix(directory: &Path) -> String {
    directory.join("vgdb").display().to_string()
}

/// Reads a profile of callgrind's format: a call is a line with the callee's name, and below it one with how often.
fn parse(profile: &str) -> Option<Cost> {
    let (mut instructions, mut allocations, mut callee) = (None, 0.0, "");
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("cfn=") {
            callee = name;
        } else if let Some(calls) = line.strip_prefix("calls=").filter(|_| ALLOCATING.contains(&callee)) {
            allocations += calls.split(' ').next()?.parse::<f64>().ok()?;
        } else if let Some(total) = line.strip_prefix("totals: ") {
            instructions = Some(total.parse().ok()?);
        }
    }
    Some(Cost { instructions: instructions?, allocations })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_allocator_are_summed() {
        let profile = "events: Ir\nfn=a\n1 10\ncfn=_rjem_malloc\ncalls=3 5 \n2 90\ncfn=_rjem_free\ncalls=7 5 \n3 1\n\
                       fn=b\ncfn=_rjem_realloc\ncalls=2 9 \n1 8\n\ntotals: 109\n";
        assert_eq!(parse(profile), Some(Cost { instructions: 109.0, allocations: 5.0 }));
        assert_eq!(parse("fn=a\n1 10\n"), None, "it was not written to its end");
    }
}
