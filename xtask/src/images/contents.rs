//! What images take from Debian's packages.

use anyhow::Result;
use oci_archive::Tree;

use super::debian::{Files, Package};

/// The programs of iptables, each under many names.
const IPTABLES_PROGRAMS: &[&str] = &["/usr/sbin/xtables-nft-multi", "/usr/sbin/xtables-legacy-multi"];

/// Adds iptables in both variants; the plain names are the variant on nftables, as Debian has it.
pub(crate) fn add_iptables(tree: &mut Tree, packages: &[Package]) -> Result<()> {
    let mut wanted: Vec<String> = IPTABLES_PROGRAMS.iter().map(|&path| path.to_owned()).collect();
    let files = Files::of(packages)?;
    wanted.extend(files.paths().filter(|path| path.contains("/xtables/lib")).map(str::to_owned));
    files.add_programs(tree, wanted)?;
    for family in ["iptables", "ip6tables"] {
        for action in ["", "-save", "-restore"] {
            tree.link(&format!("/usr/sbin/{family}{action}"), "xtables-nft-multi");
            tree.link(&format!("/usr/sbin/{family}-nft{action}"), "xtables-nft-multi");
            tree.link(&format!("/usr/sbin/{family}-legacy{action}"), "xtables-legacy-multi");
        }
    }
    Ok(())
}

/// Adds the roots of trust of Mozilla, in the one file in which programs look for them.
pub(crate) fn add_certificates(tree: &mut Tree, package: &Package) -> Result<()> {
    let directory = package.root.join("usr/share/ca-certificates/mozilla");
    let mut certificates = directory.read_dir()?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    certificates.sort();
    let mut bundle = Vec::new();
    for certificate in certificates {
        bundle.extend(std::fs::read(certificate)?);
    }
    tree.file("/etc/ssl/certs/ca-certificates.crt", 0o644, bundle);
    Ok(())
}

/// Adds what packages' licences ask for, and says to those who look for vulnerabilities which packages these are.
pub(crate) fn add_notices(tree: &mut Tree, packages: &[&Package]) -> Result<()> {
    for package in packages {
        let name = &package.name;
        let notice = format!("/usr/share/doc/{name}/copyright");
        tree.copy(&notice, 0o644, &package.root.join(notice.trim_start_matches('/')))?;
        tree.file(&format!("/var/lib/dpkg/status.d/{name}"), 0o644, package.control.as_bytes());
    }
    Ok(())
}
