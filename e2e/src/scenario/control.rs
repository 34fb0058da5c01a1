//! The control plane: its refusals and its absence.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::traffic::{LIVE, reviews, show, versions};
use crate::client::Load;
use crate::mesh::Mesh;
use crate::place::{Ask, Caller, Place};
use crate::shop::Role;
use crate::story::eventually;

/// A `url` that should be a `uri`, under an API group with a letter missing.
const MISTAKES: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: details
  namespace: default
spec:
  hosts:
    - details
  http:
    - match:
        - url:
            prefix: /nothing
      route:
        - destination:
            host: details
---
apiVersion: networking.stio.io/v1alpha3
kind: Gateway
metadata:
  name: misspelt
  namespace: default
spec:
  selector: {}
";

pub(super) fn mistake(mesh: &mut Mesh) -> Result<String> {
    mesh.apply("60-mistake.yaml", MISTAKES)?;
    let mut said = Vec::new();
    let told = eventually(LIVE, || {
        let log = mesh.control_plane.output();
        said = log.lines().filter(|line| line.contains("60-mistake.yaml")).map(str::to_owned).collect();
        let names = |line: &&String, words: [&str; 2]| words.iter().all(|word| line.contains(word));
        ensure!(said.iter().any(|line| names(&line, ["url", "uri"])), "istiod does not name `uri`: {said:?}");
        ensure!(
            said.iter().any(|line| names(&line, ["networking.stio.io", "networking.istio.io"])),
            "istiod does not name the API group: {said:?}"
        );
        Ok(())
    })?;
    let answers = mesh.ask(Caller::Client, &Ask::service(Role::Details, "/details/0"), 50)?;
    mesh.remove("60-mistake.yaml")?;
    ensure!(answers.iter().all(|answer| answer.status.is_success()), "calls to details fail");
    Ok(format!("told after {told:.1?}; 50 of 50 calls to details succeeded"))
}

pub(super) fn outage(mesh: &mut Mesh) -> Result<String> {
    let client = mesh.get("client")?.pod();
    let load = Load::start(client, mesh.call(&reviews())?, 200);
    eventually(LIVE, || {
        ensure!(load.so_far().succeeded >= 100, "no load");
        Ok(())
    })?;
    mesh.control_plane.kill()?;
    let before = load.so_far().succeeded;
    eventually(LIVE, || {
        ensure!(load.so_far().succeeded >= before + 400, "the load stalls");
        Ok(())
    })?;
    mesh.apply("40-reviews.yaml", include_str!("../../yaml/reviews-subsets.yaml"))?;
    mesh.apply("41-reviews.yaml", include_str!("../../yaml/reviews-by-header.yaml"))?;
    mesh.control_plane.run()?;
    let caught_up = eventually(Duration::from_secs(20), || {
        let counts = versions(&mesh.ask(Caller::Client, &reviews(), 10)?)?;
        if counts.len() == 1 && counts.contains_key("v1") { Ok(()) } else { bail!("still {}", show(&counts)) }
    });
    let tally = load.stop();
    mesh.remove("41-reviews.yaml")?;
    mesh.remove("40-reviews.yaml")?;
    let caught_up = caught_up?;
    ensure!(tally.failures.is_empty(), "{} calls failed, such as: {}", tally.failures.len(), tally.failures[0]);
    Ok(format!("{} calls, 0 failed; the edit was live {caught_up:.1?} after the return", tally.succeeded))
}
