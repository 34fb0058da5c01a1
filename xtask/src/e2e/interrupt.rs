//! Ctrl-C, and whatever else asks us to end: it ends what runs at the moment, and everything that was started is then
//! removed on the way out, as after any other failure.

use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Option<Pid>> = Mutex::new(None);

/// From now on this process outlives requests to end, for long enough to clean up. Handlers, unlike a mask, are not
/// inherited: programs that are started end as they are told.
pub(crate) fn hold() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                end();
            }
        });
    });
    Ok(())
}

fn end() {
    INTERRUPTED.store(true, Ordering::SeqCst);
    eprintln!("\n── Interrupted: cleaning up");
    if let Some(pid) = RUNNING.lock().ok().and_then(|running| *running) {
        // It may be gone already: a terminal tells everybody at once.
        let _ = kill(pid, Signal::SIGTERM);
    }
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
