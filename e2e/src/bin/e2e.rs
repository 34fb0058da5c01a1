//! The end-to-end suite on a cluster that exists. `cargo xtask e2e` makes one and runs this.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use e2e::kube::{ALL, Balancer, Kube, Scenario, close, prepare, report};
use e2e::story::Story;

#[derive(Parser)]
#[command(about = "What is true of Weft in a real cluster")]
struct Arguments {
    /// The context of the kubeconfig.
    #[arg(long)]
    context: String,
    /// Only scenarios whose title has these words, in any case.
    #[arg(long, default_value = "")]
    filter: String,
    /// Where to write what is known of a failure.
    #[arg(long, default_value = "target/e2e/report")]
    report: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let kube = Kube::new(&arguments.context);
    // What is there tells of an earlier run.
    let _ = std::fs::remove_dir_all(&arguments.report);
    let _balancer = Balancer::start(&kube);
    let mut story = Story::default();
    let wanted = arguments.filter.to_lowercase();
    for scenario in ALL.iter().filter(|scenario| scenario.title.to_lowercase().contains(&wanted)) {
        let work = || prepare(&kube, scenario).and_then(|()| (scenario.run)(&kube));
        if !story.step(scenario.title, scenario.expected, work) {
            write_report(&kube, scenario, &arguments.report, &story);
        }
        if let Err(error) = (scenario.leave)(&kube) {
            story.say(format_args!("    and it left something behind: {error:#}"));
        }
    }
    if let Err(error) = close(&kube) {
        story.say(format_args!("The shop cannot be closed: {error:#}"));
    }
    if story.close() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write_report(kube: &Kube, scenario: &Scenario, reports: &std::path::Path, story: &Story) {
    let name: String = scenario
        .title
        .chars()
        .map(|one| if one.is_ascii_alphanumeric() { one.to_ascii_lowercase() } else { '-' })
        .collect();
    let directory = reports.join(name);
    match report(kube, &directory) {
        Ok(()) => story.say(format_args!("    pods, logs, events, configuration: {}", directory.display())),
        Err(error) => story.say(format_args!("    and the cluster cannot say why: {error:#}")),
    }
}
