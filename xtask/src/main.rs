//! The project's commands: `cargo xtask <command>`. Each installs what it needs, says so, and shows its progress.

mod arguments;
mod e2e;
mod images;
mod packages;
mod profile;
mod run;
mod tools;

use std::process::{Command, ExitCode};

use anyhow::Result;

use run::{cargo, step};

const HELP: &str = "\
cargo xtask <command>

  demo [--keep]   builds everything and walks through a mesh on this machine;
                  with --keep it stays up until Ctrl-C, to be called and edited
  test            formatting, lints, all tests, the demo as the acceptance test, and with CI set what e2e does
  check           formatting and lints
  bench [ROW...]  measures the proxy beside HAProxy, Envoy and nginx in one run; --list names the rows
  bench count [--write]
                  counts instructions and allocations of requests and connections, as the tests do; --write makes
                  them the budgets
  bench control-plane [WORDS]
                  measures istiod under simulated proxies; words select rows
  bench webhook   measures the injector's webhook under odd pods
  e2e [--filter WORDS] [--keep] [--context C] [--node-image I]
                  makes a cluster of two nodes on kind, from packages alone where no registry answers, and runs the
                  scenarios on it; --keep leaves it, --down removes it, --context takes a cluster that exists
  images          makes the images of the charts as archives under target/images, with no builder and no registry;
                  [--hub H] [--tag T] [--out DIRECTORY], and --release for the compiler's best
  crds            writes the custom resource definitions anew, from galley's types, and the rendered charts
  profile         writes anew what guides the compiler of releases: what the proxy runs under load
  setup           installs the packages and tools that the tests need, and nothing else
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let result = match command {
        "demo" => demo(rest),
        "test" => test(),
        "check" => check(),
        "bench" => bench(rest),
        "e2e" => e2e::run(rest),
        "images" => images::Request::read(rest).and_then(|request| images::make(&request)).map(|_| ()),
        "crds" => crds(),
        "profile" => profile::write(),
        "setup" => setup(),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(anyhow::anyhow!("there is no command {other:?}\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(arguments: &[String]) -> Result<()> {
    packages::install(packages::DEMO)?;
    build()?;
    run::replace_with("target/debug/weft-demo", arguments)
}

fn check() -> Result<()> {
    step("Formatting", cargo().args(["fmt", "--all", "--check"]))?;
    step("Lints", cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]))
}

/// The tests that find generated files stale write them instead, if they are told to.
fn crds() -> Result<()> {
    packages::install(packages::TESTS)?;
    let helm = tools::kubernetes_clients()?.helm;
    let bless = |title: &str, arguments: [&str; 5]| {
        let mut test = cargo();
        step(title, test.args(["test", "--locked"]).args(arguments).env("WEFT_BLESS", "1").env("WEFT_HELM", &helm))
    };
    bless("Custom resource definitions", ["--quiet", "--package", "galley", "--test", "definitions"])?;
    bless("Rendered charts", ["--package", "xtask", "--test", "charts", "goldens"])
}

fn setup() -> Result<()> {
    packages::install(packages::TESTS)?;
    println!("For tests that are run by hand:");
    tools::install()?.iter().for_each(|(name, path)| println!("  export {name}={}", path.display()));
    Ok(())
}

fn test() -> Result<()> {
    packages::install(packages::TESTS)?;
    let tools = tools::install()?;
    check()?;
    build()?;
    step("Tests", cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"]).envs(tools))?;
    step("Budgets", &mut counting())?;
    step("Demo, as the acceptance test", &mut run::program("target/debug/weft-demo"))?;
    suite()
}

/// In CI the suite on a cluster follows. Elsewhere a cluster is for those who ask for one.
fn suite() -> Result<()> {
    let reason = match (std::env::var_os("CI"), e2e::obstacle()) {
        (None, _) => "CI is not set; `cargo xtask e2e` runs it",
        (Some(_), Some(obstacle)) => obstacle,
        (Some(_), None) => return e2e::run(&[]),
    };
    println!("\n── The suite on a cluster: SKIPPED, since {reason}");
    Ok(())
}

/// What users run is measured: a release. What the tests build is counted.
fn bench(arguments: &[String]) -> Result<()> {
    if let Some((first, rest)) = arguments.split_first()
        && first == "count"
    {
        packages::install(packages::TESTS)?;
        build()?;
        return step("Budgets", counting().args(rest));
    }
    packages::install(packages::BENCH)?;
    let envoy = tools::envoy()?;
    build_release()?;
    match arguments.split_first() {
        Some((first, rows)) if first == "control-plane" => {
            step("Measurement", run::program("target/release/xds-load").args(rows))
        }
        Some((first, rest)) if first == "webhook" => {
            let mut load = run::program("target/release/webhook-load");
            step("Measurement", load.args(rest).envs(e2e::api_server()?))
        }
        _ => step("Measurement", run::program("target/release/bench").args(arguments).env("WEFT_ENVOY", envoy)),
    }
}

/// Builds what is measured, and what measures it.
fn build_release() -> Result<()> {
    let packages = ["-p", "weft-proxy", "-p", "istiod", "-p", "weft-cni-init", "-p", "bench"];
    step("Build, optimised", cargo().args(["build", "--release", "--locked"]).args(packages))
}

/// Compares what work costs in instructions and allocations with the budgets.
fn counting() -> Command {
    let mut bench = run::program("target/debug/bench");
    bench.arg("--count");
    bench
}

/// One build for tests and demo: the same profile, all binaries.
fn build() -> Result<()> {
    step("Build", cargo().args(["build", "--workspace", "--locked"]))
}
