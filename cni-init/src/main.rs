//! The `istio-init` container's entry point.

use std::process::ExitCode;

use clap::Parser;
use weft_cni_init::apply::{Family, apply, cleanup};
use weft_cni_init::rules::rules;
use weft_cni_init::settings::{Flags, Settings};
use weft_cni_init::verify;

/// Istio's exit code for "the rules are not in force"; its repair controller looks for it.
const NOT_REDIRECTED: u8 = 126;

fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Some(destination) = flags.verify_inbound_client {
        return verify::client(destination);
    }
    let settings = match Settings::try_from(flags) {
        Ok(settings) => settings,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("weft-cni-init: {error}"));
            return ExitCode::from(64);
        }
    };
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weft-cni-init: {error:#}");
            ExitCode::from(if settings.verify { NOT_REDIRECTED } else { 1 })
        }
    }
}

fn run(settings: &Settings) -> anyhow::Result<()> {
    for family in Family::ALL {
        let wanted = rules(settings, family);
        if settings.dry_run {
            println!("# {family}\n{}", wanted.render());
        } else if settings.cleanup_only {
            cleanup(family)?;
        } else if !settings.skip_rule_apply {
            println!("{family}: {}", apply(&wanted, family)?);
        }
    }
    if settings.verify && !settings.dry_run {
        println!("{}", verify::verify(settings)?);
    }
    Ok(())
}
