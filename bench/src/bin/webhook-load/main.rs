//! Loads the injector's webhook with odd pods, as an API server calls it (HTTP/1.1 over TLS, connections kept), and prints
//! what an admission costs. istiod is a real one on a real API server; it has one core, and the load another.

mod answer;
mod caller;
#[path = "../../cpu.rs"]
mod cpu;
mod load;
mod pods;
mod site;
#[path = "../xds-load/table.rs"]
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use load::Measured;
use site::Site;
use table::{Row, Table};

/// What the webhook must bear: so many admissions a second on one core.
const RATE: u32 = 500;
/// For so long it is asked to.
const SPELL: Duration = Duration::from_secs(15);

/// Measures the injector's webhook.
#[derive(Parser)]
struct Arguments {
    /// How many odd pods there are.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(100..))]
    pods: u32,
    /// Where istiod's binary is; absent means beside this one.
    #[arg(long)]
    istiod: Option<PathBuf>,
    /// Where the measurements go as JSON.
    #[arg(long, default_value = "target/bench/webhook.json")]
    json: PathBuf,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("webhook-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let beside = || Ok::<_, anyhow::Error>(std::env::current_exe()?.with_file_name("istiod"));
    let site = Site::open(&arguments.istiod.clone().map_or_else(beside, Ok)?)?;
    let pods: Vec<_> = (0..arguments.pods).map(pods::odd).collect();
    let reviews: Vec<Vec<u8>> = pods.iter().zip(0..).map(|(pod, uid)| answer::review(pod, uid)).collect();

    let every = site.load(&reviews, None)?;
    let tally = answer::judge(&pods, &every.answers)?;
    println!("{} odd pods: {tally}", pods.len());
    println!("as fast as it takes them, from {} connections: {:.0} a second", load::CONNECTIONS, every.rate());
    let count = (SPELL.as_secs_f64() * f64::from(RATE)) as usize;
    let steady: Vec<Vec<u8>> = reviews.iter().cycle().take(count).cloned().collect();
    let steady = site.load(&steady, Some(RATE))?;
    ensure!(cpu::is_running(site.pid()), "istiod ended");

    let mut table = Table::default();
    rows(&every, &steady).into_iter().for_each(|row| table.add(row));
    table.print();
    table.write(&arguments.json).context("the measurements as JSON")
}

fn rows(every: &Measured, steady: &Measured) -> [Row; 4] {
    let row = |name: &str, measured, must, aim| Row { name: name.to_owned(), unit: "ms", must, aim, measured };
    let at_rate = |part: &str| format!("{RATE} a second: {part}");
    [
        row("an admission, CPU", every.cpu_each(), 1e3 / f64::from(RATE), 0.5),
        row(&at_rate("CPU each"), steady.cpu_each(), 1e3 / f64::from(RATE), 0.5),
        row(&at_rate("p50"), steady.percentile(50.0), f64::INFINITY, f64::INFINITY),
        row(&at_rate("p99"), steady.percentile(99.0), 5.0, 2.0),
    ]
}
