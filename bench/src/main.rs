//! Weft beside its peers on the data plane, in one run: what a request, a connection, a handshake and a byte cost each
//! proxy, and how much memory it holds.
//!
//! Every peer does the same work, with mutual TLS by certificates of one authority, between two network namespaces. Both
//! proxies of a pair have one worker each on one core; load and origin are on the other. Rounds are interleaved and
//! medians quoted with ratios, since the same machine is twice as fast on another day.

mod certificates;
mod counted;
mod cpu;
mod figure;
mod http;
mod load;
mod memory;
mod pair;
mod peer;
mod report;
mod row;
mod site;
mod trained;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use mesh_testkit::lab;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use report::Report;
use row::Row;
use site::Site;

/// Measures the data plane beside HAProxy, Envoy and nginx.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// The rows to measure, by their names; none means all.
    rows: Vec<String>,
    /// Only names the rows.
    #[arg(long)]
    list: bool,
    /// How often each peer is measured; the median is quoted.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Keeps configurations and logs, and says where they are.
    #[arg(long)]
    keep_files: bool,
    /// Counts instructions and allocations in place of measuring, and compares them with their budgets.
    #[arg(long, conflicts_with_all = ["rows", "list", "rounds", "keep_files"])]
    count: bool,
    /// Makes what was counted the budgets.
    #[arg(long, requires = "count")]
    write: bool,
    /// Runs the loads of the table through this proxy alone, which was built to write down what it runs.
    #[arg(long, value_name = "PROXY", conflicts_with_all = ["rows", "list", "rounds", "keep_files", "count"])]
    train: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        row::ALL.iter().for_each(|row| println!("{:<12} {}", row.name, row.about));
        return ExitCode::SUCCESS;
    }
    let whole = if arguments.count { counted::run(arguments.write) } else { run(&arguments) };
    match whole {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True if every row was measured.
fn run(arguments: &Arguments) -> Result<bool> {
    let rows = chosen(&arguments.rows)?;
    lab::become_root().context("NOTHING IS MEASURED: network namespaces cannot be made here")?;
    end_on_signals()?;
    open_many_files()?;
    let mut site = Site::open(arguments.rounds)?;
    if let Some(proxy) = &arguments.train {
        trained::run(&site.with_proxy(proxy)?)?;
        return Ok(true);
    }
    if arguments.keep_files {
        println!("Files: {}", site.keep_files().display());
    }
    let mut report = Report::default();
    for row in rows {
        report.measure(row, &site);
    }
    report.print();
    println!("\nAs JSON: {}", report.write()?.display());
    Ok(report.is_whole())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Row>> {
    if names.is_empty() {
        return Ok(row::ALL.iter().collect());
    }
    let find = |name: &String| match row::ALL.iter().find(|row| row.name == name) {
        Some(row) => Ok(row),
        None => bail!("there is no row {name:?}; --list names them"),
    };
    names.iter().map(find).collect()
}

/// Whoever ends us finds nothing left over. Signals are taken and not blocked: what we start would inherit that, and could
/// not be asked to end.
fn end_on_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let on = |kind| {
        let _inside = runtime.enter();
        signal(kind).context("signals cannot be waited for")
    };
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let mut hangup = on(SignalKind::hangup())?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        lab::remove_all();
        std::process::exit(130);
    });
    Ok(())
}

/// Thousands of connections, here and in the proxies that inherit the limit.
fn open_many_files() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("the limit of open files")
}
