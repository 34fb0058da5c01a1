//! Ctrl-C, and whatever else asks us to end: it ends what runs at the moment, and everything that was started is then
//! removed on the way out, as after any other failure.

use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Option<Pid>> = Mutex::new(None);

/// From now on this process outlives requests to end, for long enough to clean up. Call it before any thread is
/// started; programs that are started later are not affected.
pub(crate) fn hold() -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().context("cannot hold signals")?;
    std::thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            eprintln!("\n── {signal}: cleaning up");
            if let Some(pid) = RUNNING.lock().ok().and_then(|running| *running) {
                // It may be gone already: a terminal tells everybody at once.
                let _ = kill(pid, Signal::SIGTERM);
            }
        }
    });
    Ok(())
}

/// Runs a command to its end, or to ours.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    let status = wait(&mut child);
    if INTERRUPTED.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    status
}

fn wait(child: &mut Child) -> Result<ExitStatus> {
    set_running(Some(Pid::from_raw(child.id().cast_signed())));
    let status = child.wait();
    set_running(None);
    Ok(status?)
}

fn set_running(pid: Option<Pid>) {
    if let Ok(mut running) = RUNNING.lock() {
        *running = pid;
    }
}
