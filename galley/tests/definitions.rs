//! What is generated from galley's types stands in the charts, and is up to date. `cargo xtask crds` writes it anew.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Set by `cargo xtask crds`.
const BLESS: &str = "WEFT_BLESS";

fn charts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts")
}

/// The text with its keys in order, whatever features other crates turn on in `serde_json`.
fn yaml(value: &Value) -> String {
    let text = serde_yaml_ng::to_string(&sorted(value)).unwrap();
    format!("# Generated from galley's types by `cargo xtask crds`.\n{text}")
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            Value::Object(names.into_iter().map(|name| (name.clone(), sorted(&fields[name]))).collect())
        }
        leaf => leaf.clone(),
    }
}

fn check(path: &Path, wanted: &str) {
    if std::env::var_os(BLESS).is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, wanted).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run `cargo xtask crds`", path.display());
}

#[test]
fn custom_resource_definitions_are_up_to_date() {
    let folder = charts().join("base/files/crds");
    let definitions = galley::definitions();
    let names: BTreeSet<String> = definitions.iter().map(|(name, _)| format!("{name}.yaml")).collect();
    if let Ok(entries) = fs::read_dir(&folder) {
        for file in entries.map(|entry| entry.unwrap()) {
            let known = names.contains(&*file.file_name().to_string_lossy());
            assert!(known, "{} is of no kind: remove it", file.path().display());
        }
    }
    definitions.iter().for_each(|(name, definition)| check(&folder.join(format!("{name}.yaml")), &yaml(definition)));
}

/// As `istioctl x workload group create` writes it: where a workload is will be known when it registers itself.
#[test]
fn a_template_of_workloads_needs_no_address_and_a_workload_does() {
    let rules = |pointer: &str, name: &str| {
        let file = charts().join(format!("base/files/crds/{name}.networking.istio.io.yaml"));
        let definition: Value = serde_yaml_ng::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let schema = definition.pointer(&format!("/spec/versions/0/schema/openAPIV3Schema/properties/spec{pointer}"));
        schema.unwrap()["x-kubernetes-validations"].to_string()
    };
    assert!(rules("", "workloadentries").contains("Address is required"));
    let template = rules("/properties/template", "workloadgroups");
    assert!(template.contains("UDS may not include ports") && !template.contains("Address is required"), "{template}");
}

#[test]
fn settings_of_the_mesh_among_values_are_up_to_date() {
    let path = charts().join("istiod/values.schema.json");
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    schema["properties"]["meshConfig"] = galley::mesh_config_values();
    check(&path, &(serde_json::to_string_pretty(&sorted(&schema)).unwrap() + "\n"));
}
