//! `cargo xtask profile`: what the proxy runs under load, which guides the compiler of releases (`.cargo/rustc`).
//!
//! A profile is known by the names of functions, and these tell of the compiler, of every dependency with its features, and of
//! whether a target was named. So the proxy is trained both as `cargo build --release` builds it and as images have it, with
//! the features that it has among the other programs: whoever builds it alone builds it without guidance.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::images::{platform, static_programs};
use crate::packages;
use crate::run::{cargo, output, program, root, step};

/// Calls through pointers have more targets than the compiler counts unless it is told.
const TARGETS: &str = "-Cllvm-args=-vp-counters-per-site=8";

/// Trains the proxy and writes its profile.
pub(crate) fn write() -> Result<()> {
    let profdata = profdata()?;
    packages::install(packages::BENCH)?;
    crate::build_release()?;
    let directory = root().join("target/profile");
    let raw = directory.join("raw");
    let counting = [format!("-Cprofile-generate={}", raw.display()), TARGETS.to_owned()];
    let mut own = cargo();
    own.args(["build", "--release"]).env("CARGO_ENCODED_RUSTFLAGS", counting.join("\u{1f}"));
    let of_images = static_programs("release", &counting);
    let mut profiles = Vec::new();
    for (name, place, mut build) in
        [("cargo", PathBuf::from("release"), own), ("images", Path::new(platform::rust()).join("release"), of_images)]
    {
        build.args(["--locked", "--workspace", "--bin", "weft-proxy", "--target-dir"]).arg(&directory);
        step(&format!("A proxy that counts ({name})"), &mut build)?;
        // What the compiler's own programs have counted is of no use. The proxy writes as a user of its own.
        let _ = fs::remove_dir_all(&raw);
        fs::create_dir_all(&raw)?;
        fs::set_permissions(&raw, fs::Permissions::from_mode(0o777))?;
        step("Training", program("target/release/bench").arg("--train").arg(directory.join(place).join("weft-proxy")))?;
        let profile = directory.join(name).with_extension("profdata");
        merge(&profdata, &files(&raw)?, &profile)?;
        profiles.push(profile);
    }
    merge(&profdata, &profiles, &file("release.profdata"))?;
    fs::write(file("of"), of()?)?;
    // Cargo does not know that what is guided is to be built anew.
    step("Clean", cargo().args(["clean", "--release"]))?;
    for profile in ["release", "bench-fast"] {
        step("Clean", cargo().args(["clean", "--profile", profile, "--target", platform::rust()]))?;
    }
    Ok(())
}

/// What the profile is of: the compiler, all that the proxy is built from, with features, and how that is optimised.
fn of() -> Result<String> {
    let (own, all) = (tree(&["--package", "weft-proxy"], "{p}")?, tree(&["--workspace"], "{p} {f}")?);
    let lines = all.iter().filter(|line| own.iter().any(|one| line.starts_with(&format!("{one} "))));
    let lines: Vec<&str> = lines.map(|line| line.trim()).collect();
    let compiler = output(Command::new("rustc").arg("--version").current_dir(root()))?;
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    Ok(format!("{compiler}{}\n{}\n", lines.join("\n"), settings(&manifest).join("\n")))
}

/// The settings of releases in a manifest, a line each.
fn settings(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut settings = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.starts_with("[profile.release") && line.contains(" = ") {
            settings.push(format!("{section} {line}"));
        }
    }
    settings
}

/// The dependencies of some packages, in order.
fn tree(packages: &[&str], format: &str) -> Result<BTreeSet<String>> {
    let mut tree = cargo();
    tree.args(["tree", "--locked", "--target", "x86_64-unknown-linux-gnu", "--edges", "no-dev", "--prefix", "none"]);
    tree.args(["--no-dedupe", "--format", format]).args(packages);
    // Our own crates are named with their path, which is another one elsewhere.
    let here = format!(" ({}", root().display());
    let without_path = |line: &str| match line.split_once(&here) {
        Some((name, rest)) => format!("{name}{}", rest.split_once(')').map_or("", |(_, rest)| rest)),
        None => line.to_owned(),
    };
    Ok(output(&mut tree)?.lines().map(without_path).collect())
}

fn file(name: &str) -> PathBuf {
    root().join("proxy/profile").join(name)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let files: Vec<PathBuf> = fs::read_dir(directory)?.flatten().map(|entry| entry.path()).collect();
    ensure!(!files.is_empty(), "the proxy has written nothing into {}", directory.display());
    Ok(files)
}

fn merge(profdata: &Path, from: &[PathBuf], into: &Path) -> Result<()> {
    output(Command::new(profdata).args(["merge", "-sparse", "-o"]).arg(into).args(from)).map(drop)
}

/// The compiler's own tool for profiles: another version's would not read them.
fn profdata() -> Result<PathBuf> {
    let libraries = output(Command::new("rustc").args(["--print", "target-libdir"]).current_dir(root()))?;
    let tool = Path::new(libraries.trim()).with_file_name("bin").join("llvm-profdata");
    ensure!(tool.exists(), "{} is not there: `rustup component add llvm-tools` installs it", tool.display());
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of another compiler, other dependencies or other settings the profile guides nothing, and nobody would notice.
    #[test]
    fn the_profile_is_of_what_is_built() {
        let (written, now) = (fs::read_to_string(file("of")).unwrap(), of().unwrap());
        let missing = |one: &str, other: &str| -> Vec<String> {
            one.lines().filter(|line| !other.lines().any(|found| found == *line)).map(str::to_owned).collect()
        };
        let (gone, new) = (missing(&written, &now), missing(&now, &written));
        assert!(settings("[a]\nb = 1\n[profile.release.package.c]\nd = 2\n") == ["[profile.release.package.c] d = 2"]);
        assert!(written.contains("[profile.release] lto"), "{written}");
        assert!(
            gone.is_empty() && new.is_empty(),
            "proxy/profile is of {gone:?} and not of {new:?}: releases would be a fifth slower. `cargo xtask profile` \
             writes it anew, in about half an hour"
        );
    }
}
