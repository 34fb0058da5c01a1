//! The bill of materials of an image, in the image: CycloneDX 1.6, of crates and of Debian's packages.

use anyhow::Result;
use oci_archive::Tree;
use serde_json::{Value, json};

use super::crates::{self, Crate};
use super::debian::Package;

/// Adds `/usr/share/sbom/<image>.cdx.json`: what `programs`, packages of this repository, are made of, and `packages`.
pub(super) fn add(tree: &mut Tree, image: &str, version: &str, programs: &[&str], packages: &[&Package]) -> Result<()> {
    let mut components: Vec<Value> = crates::of(programs)?.iter().map(of_crate).collect();
    components.extend(packages.iter().map(|package| of_package(package)));
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": { "type": "container", "name": image, "version": version } },
        "components": components,
    });
    tree.file(&format!("/usr/share/sbom/{image}.cdx.json"), 0o644, serde_json::to_vec_pretty(&bill)?);
    Ok(())
}

fn of_crate(one: &Crate) -> Value {
    let address = format!("pkg:cargo/{}@{}", one.name, one.version);
    let mut component = json!({
        "type": "library",
        "bom-ref": address,
        "name": one.name,
        "version": one.version,
        "purl": address,
    });
    if !one.license.is_empty() {
        component["licenses"] = json!([{ "expression": one.license }]);
    }
    if let Some(checksum) = &one.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

fn of_package(package: &Package) -> Value {
    // `+` stands for a space in addresses.
    let version = package.version.replace('+', "%2B");
    let address = format!("pkg:deb/debian/{}@{version}?arch={}", package.name, package.architecture);
    json!({
        "type": "library",
        "bom-ref": address,
        "name": package.name,
        "version": package.version,
        "purl": address,
    })
}
