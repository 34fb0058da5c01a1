//! Makes the kernel hold the wanted rules, in one transaction, and only if it does not hold them already.

use std::fmt;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use ipnet::IpNet;

use crate::rules::{CHAINS, OURS, Rules};

/// An address family, with its own table of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The one address of loopback that is never redirected.
    pub fn loopback(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.1/32",
            Self::V6 => "::1/128",
        }
    }

    /// From where the proxy connects to the application.
    pub fn passthrough_source(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.6/32",
            Self::V6 => "::6/128",
        }
    }

    /// Whether a network is of this family.
    pub fn owns(self, network: &IpNet) -> bool {
        matches!((self, network), (Self::V4, IpNet::V4(_)) | (Self::V6, IpNet::V6(_)))
    }

    fn tool(self, suffix: &str) -> String {
        match self {
            Self::V4 => format!("iptables{suffix}"),
            Self::V6 => format!("ip6tables{suffix}"),
        }
    }

    /// A pod without IPv6 has nothing to redirect there, and its kernel may lack the table.
    fn exists(self) -> bool {
        self == Self::V4 || std::path::Path::new("/proc/sys/net/ipv6").exists()
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// What [`apply`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The rules were there already.
    Unchanged,
    /// The rules are there now.
    Changed,
    /// The kernel does not know the family.
    NoFamily,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "redirection was in force already",
            Self::Changed => "redirection is in force",
            Self::NoFamily => "not in this kernel; nothing to redirect",
        })
    }
}

/// Makes the kernel hold `wanted`. Rules of others are not touched.
///
/// Fails if `iptables` is missing or refuses, with what it said; the rules are then as before.
pub fn apply(wanted: &Rules, family: Family) -> Result<Applied> {
    if !family.exists() {
        return Ok(Applied::NoFamily);
    }
    let current = current(family)?;
    if current == *wanted {
        return Ok(Applied::Unchanged);
    }
    restore(&transaction(&current, wanted), family)?;
    let now = self::current(family)?;
    if now != *wanted {
        bail!(
            "the kernel does not hold the rules that it was given: wanted\n{}\nbut it holds\n{}",
            wanted.render(),
            now.render()
        );
    }
    Ok(Applied::Changed)
}

/// Removes our rules and chains.
pub fn cleanup(family: Family) -> Result<()> {
    if !family.exists() {
        return Ok(());
    }
    let current = current(family)?;
    if current == Rules::default() {
        return Ok(());
    }
    let mut text = String::from("*nat\n");
    current.hooks.iter().for_each(|hook| text.push_str(&format!("-D {hook}\n")));
    CHAINS.iter().for_each(|chain| text.push_str(&format!(":{chain} - [0:0]\n")));
    CHAINS.iter().for_each(|chain| text.push_str(&format!("-X {chain}\n")));
    text.push_str("COMMIT\n");
    restore(&text, family)
}

/// Old hooks go and new ones come in one transaction: there is no moment without redirection.
fn transaction(current: &Rules, wanted: &Rules) -> String {
    let removals: String = current.hooks.iter().map(|hook| format!("-D {hook}\n")).collect();
    let text = wanted.render();
    match text.rfind("COMMIT\n") {
        // Removals come after the chains are declared and before the new hooks.
        Some(_) if !wanted.chains.is_empty() => {
            let first_rule = text.find("-A ").unwrap_or(text.len());
            format!("{}{removals}{}", &text[..first_rule], &text[first_rule..])
        }
        _ => format!("*nat\n{removals}COMMIT\n"),
    }
}

/// Our part of what the kernel holds: rules of our chains, and rules of others that lead to them or that stand for
/// an interface that is left alone.
fn current(family: Family) -> Result<Rules> {
    let output = Command::new(family.tool("-save"))
        .args(["-t", "nat"])
        .output()
        .with_context(|| format!("cannot run {}; is the package iptables installed?", family.tool("-save")))?;
    if !output.status.success() {
        bail!("{} failed: {}", family.tool("-save"), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(saved: &str) -> Rules {
    let rules = || saved.lines().filter_map(|line| line.strip_prefix("-A "));
    let chain = |rule: &str| rule.split(' ').next().unwrap_or_default().to_owned();
    let of_chain = |name: &'static str| rules().filter(move |rule| chain(rule) == name).map(str::to_owned);
    let hook = |rule: &String| rule.contains("-j ISTIO_") || rule.contains(OURS);
    Rules {
        hooks: of_chain("PREROUTING").chain(of_chain("OUTPUT")).filter(hook).collect(),
        chains: CHAINS.iter().flat_map(|name| of_chain(name)).collect(),
    }
}

fn restore(text: &str, family: Family) -> Result<()> {
    let tool = family.tool("-restore");
    let mut child = Command::new(&tool)
        .args(["--noflush", "--wait"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {tool}; is the package iptables installed?"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).with_context(|| format!("cannot write to {tool}"))?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{tool} refused the rules: {}\nthe rules were:\n{text}", said.trim());
    }
    Ok(())
}
