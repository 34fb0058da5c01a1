//! Stock Envoy, driven by our control plane. As a sidecar it takes every resource; as a gateway beside ours, under the same
//! configuration, it must answer one table of requests alike and send the same to the origin.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod acceptance;
mod bootstrap;
mod gateway;
mod origin;
mod table;

use anyhow::Result;
use mesh_testkit::lab::Lab;

/// Its binary; where there is none, that is said loudly, and in CI it is a failure.
fn envoy() -> Option<std::ffi::OsString> {
    let found = std::env::var_os("WEFT_ENVOY");
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped");
        eprintln!("SKIPPED: WEFT_ENVOY does not name stock Envoy's binary (cargo xtask setup installs it)");
    }
    found
}

#[test]
fn both_data_planes_answer_alike() -> Result<()> {
    let Some(envoy) = envoy() else { return Ok(()) };
    let lab = match Lab::new("diff") {
        Ok(lab) => lab,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: no network namespaces here ({error:#}); run as root");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let gateways = gateway::Gateways::start(&lab, envoy.as_ref())?;
    let mut differences = Vec::new();
    for request in table::requests() {
        for http2 in [false, true] {
            // HTTP/2 has no fields of one connection.
            if http2 && request.fields.iter().any(|(name, _)| *name == "connection") {
                continue;
            }
            let (envoy, ours) = (gateways.ask_envoy(&request, http2)?, gateways.ask_ours(&request, http2)?);
            if envoy != ours {
                let version = if http2 { "HTTP/2" } else { "HTTP/1.1" };
                differences.push(format!("{version} {request}\n  envoy: {envoy}\n  ours:  {ours}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}
