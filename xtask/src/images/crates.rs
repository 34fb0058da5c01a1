//! The crates that a program is made of, from cargo's metadata and the checksums of `Cargo.lock`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::platform;
use crate::run::{cargo, output, root};

/// A crate that is part of a program.
#[derive(Clone, Debug)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression; empty if the crate does not say.
    pub(super) license: String,
    /// SHA-256 of what the registry has; none if it is of this repository.
    pub(super) checksum: Option<String>,
}

/// All crates that are compiled into packages of this repository, sorted by name and version.
pub(super) fn of(packages: &[&str]) -> Result<Vec<Crate>> {
    let mut command = cargo();
    command.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", platform::rust()]);
    let metadata: Value = serde_json::from_str(&output(&mut command)?)?;
    let graph = graph(&metadata);
    let mut open: Vec<&str> = members(&metadata, packages);
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(graph.get(id).into_iter().flatten());
        }
    }
    let checksums = checksums(&std::fs::read_to_string(root().join("Cargo.lock"))?);
    let all = metadata["packages"].as_array().context("cargo's metadata has no packages")?;
    let mut crates: Vec<Crate> = all
        .iter()
        .filter(|package| package["id"].as_str().is_some_and(|id| seen.contains(id)))
        .map(|package| describe(package, &checksums))
        .collect();
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(crates)
}

/// The ids of this repository's packages by name.
fn members<'a>(metadata: &'a Value, names: &[&str]) -> Vec<&'a str> {
    let all = metadata["packages"].as_array().into_iter().flatten();
    all.filter(|package| package["source"].is_null() && names.iter().any(|name| package["name"] == *name))
        .filter_map(|package| package["id"].as_str())
        .collect()
}

/// Who is compiled into whom, by id: neither tests nor what only builds.
fn graph(metadata: &Value) -> BTreeMap<&str, Vec<&str>> {
    let nodes = metadata["resolve"]["nodes"].as_array().into_iter().flatten();
    nodes.filter_map(|node| Some((node["id"].as_str()?, dependencies(node)))).collect()
}

fn dependencies(node: &Value) -> Vec<&str> {
    let all = node["deps"].as_array().into_iter().flatten();
    all.filter(|dependency| {
        let kinds = dependency["dep_kinds"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    })
    .filter_map(|dependency| dependency["pkg"].as_str())
    .collect()
}

fn describe(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Crate {
    let text = |field: &str| package[field].as_str().unwrap_or_default().to_owned();
    let (name, version) = (text("name"), text("version"));
    let checksum = checksums.get(&(name.clone(), version.clone())).cloned();
    // Old crates separate alternatives by a slash, which is no SPDX.
    Crate { name, version, license: text("license").replace('/', " OR "), checksum }
}

/// The checksums of a `Cargo.lock` by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let entries = lock.split("[[package]]").filter_map(|entry| {
        let field = |name: &str| {
            let line = entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        Some(((field("name")?, field("version")?), field("checksum")?))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_proxy_is_made_of_rustls_and_not_of_what_builds_it() {
        let crates = super::of(&["weft-proxy"]).unwrap();
        let rustls = crates.iter().find(|one| one.name == "rustls").unwrap();
        assert_eq!(rustls.checksum.as_ref().map(String::len), Some(64));
        assert!(rustls.license.contains("Apache-2.0"), "{}", rustls.license);
        let proxy = crates.iter().find(|one| one.name == "weft-proxy").unwrap();
        assert_eq!(proxy.checksum, None);
        assert!(crates.iter().all(|one| one.name != "cmake"));
    }
}
