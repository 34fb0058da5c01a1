//! What 10,000 clusters cost our sidecar, of which its application calls none.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::labelled;
use crate::figure::{Figure, Promise};
use crate::memory::Memory;
use crate::pair;
use crate::peer::{ControlPlane, Peer, Side, objects, sidecar};
use crate::site::Site;

const CLUSTERS: u32 = 10_000;

pub(super) fn measure(site: &Site) -> Result<Vec<Figure>> {
    let (client, server) = (site.pod(Side::Client).wire(), site.pod(Side::Server).wire());
    let objects = objects(client, server) + &services()?;
    let control_plane = ControlPlane::start(&site.control, &site.binaries, "many", 15110, &objects)?;
    let (mut resident, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..site.rounds {
        let directory = site.directory("many")?;
        let launch = sidecar(site, &control_plane, Side::Client, &directory)?;
        let (process, took) = pair::run(site, &launch, "many", Side::Client).context("Weft")?;
        resident.push(Memory::of(process.id())?.resident);
        ready.push(took.as_secs_f64());
    }
    let figure = |work, unit, samples, must, aim| Figure {
        work,
        unit,
        series: labelled([Peer::Weft], vec![samples]),
        promise: Promise::absolute(must, aim),
    };
    Ok(vec![
        figure("10,000 clusters configured, resident", "MB", resident, 60.0, 20.0),
        figure("10,000 clusters configured, time to ready", "s", ready, 1.0, 0.2),
    ])
}

/// Services with an endpoint each, outside the mesh.
fn services() -> Result<String> {
    let mut text = String::new();
    for index in 0..CLUSTERS {
        let (high, low) = (index / 256, index % 256);
        write!(
            text,
            "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: many-{index}, namespace: default}}
spec:
  hosts: [many-{index}.example.com]
  addresses: [10.100.{high}.{low}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 10.101.{high}.{low}}}]
"
        )?;
    }
    Ok(text)
}
