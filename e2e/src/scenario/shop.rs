//! The shop as every scenario finds it.

use anyhow::Result;

use crate::mesh::{Kind, Mesh};
use crate::place::Place;
use crate::shop::Role;
use crate::story::Story;

/// Opens the shop: the control plane, the services with their versions, a client in the mesh, one outside of it, and
/// the gateway.
pub fn open(name: &str, story: &Story) -> Result<Mesh> {
    story.say("Starting istiod on a directory of YAML");
    let mut mesh = Mesh::start(name)?;
    for role in [Role::Productpage, Role::Details, Role::Reviews, Role::Ratings] {
        mesh.service(role)?;
    }
    mesh.apply("30-ingress.yaml", include_str!("../../yaml/ingress.yaml"))?;
    let workloads = [
        (Kind::Service(Role::Productpage), "v1"),
        (Kind::Service(Role::Details), "v1"),
        (Kind::Service(Role::Reviews), "v1"),
        (Kind::Service(Role::Reviews), "v2"),
        (Kind::Service(Role::Reviews), "v3"),
        (Kind::Service(Role::Ratings), "v1"),
        (Kind::Service(Role::Ratings), "v2"),
        (Kind::Client, "v1"),
        (Kind::Gateway, "v1"),
        (Kind::Stranger, "v1"),
    ];
    for (kind, version) in workloads {
        mesh.workload(kind, version)?;
    }
    for workload in mesh.workloads() {
        story.say(format_args!("  pod {:<16} {}", workload.name(), workload.pod().ip()));
    }
    story.say("Waiting for the proxies' certificates and configuration");
    mesh.wait_ready()?;
    Ok(mesh)
}
