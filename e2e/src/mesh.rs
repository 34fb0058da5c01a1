//! A whole mesh in a laboratory: the control plane on a directory of YAML, and workloads in pods, each with real
//! redirection and its own proxy.

mod binaries;
mod control_plane;
mod objects;
mod place;
mod workload;

pub use binaries::Binaries;
pub use control_plane::ControlPlane;
pub use workload::{Kind, Workload};

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use mesh_testkit::lab::Lab;

use crate::shop::Role;

/// Where the shop lives.
pub const NAMESPACE: &str = "default";
/// Where the ingress gateway lives.
pub const INGRESS: &str = "istio-ingress";
/// The gateway's HTTP port.
pub const INGRESS_PORT: u16 = 8080;

/// A running mesh. Dropping it ends and removes everything.
pub struct Mesh {
    /// Workloads by name. Before the control plane, so that they end first.
    workloads: BTreeMap<String, Workload>,
    /// The control plane.
    pub control_plane: ControlPlane,
    config: PathBuf,
    binaries: Binaries,
    /// The laboratory.
    pub lab: Lab,
}

impl Mesh {
    /// Starts a control plane on an empty directory of YAML.
    pub fn start(name: &str) -> Result<Self> {
        let binaries = Binaries::find()?;
        let lab = Lab::new(name)?;
        let config = lab.directory().join("config");
        std::fs::create_dir_all(&config)?;
        objects::write(&config, "00-mesh.yaml", &objects::mesh())?;
        let control_plane = ControlPlane::start(&lab, &binaries, &config)?;
        Ok(Self { workloads: BTreeMap::new(), control_plane, config, binaries, lab })
    }

    /// Registers a service of the shop and gives it a virtual address.
    pub fn service(&self, role: Role) -> Result<()> {
        let name = role.name();
        objects::write(&self.config, &format!("10-service-{name}.yaml"), &objects::service(name, service_ip(role)))
    }

    /// Starts a workload: its pod, its rules, its proxy and its application, and registers the pod.
    pub fn workload(&mut self, kind: Kind, version: &str) -> Result<()> {
        let index = u8::try_from(self.workloads.len() + 10).context("the laboratory is full")?;
        let workload = Workload::start(&self.lab, &self.binaries, &self.control_plane, kind, version, index)?;
        objects::write(&self.config, &file(&workload), &workload.object(false))?;
        self.workloads.insert(workload.name().to_owned(), workload);
        Ok(())
    }

    /// Replaces a workload as a rollout does: its pod is told to end, ends, and runs again.
    pub fn roll(&mut self, name: &str) -> Result<()> {
        let workload = self.workloads.get_mut(name).ok_or_else(|| anyhow!("there is no workload {name}"))?;
        let file = file(workload);
        // The two hear of it at the same time: the node, and whoever may call.
        objects::write(&self.config, &file, &workload.object(true))?;
        workload.end()?;
        std::fs::remove_file(self.config.join(&file))?;
        workload.begin(&self.control_plane)?;
        objects::write(&self.config, &file, &workload.object(false))
    }

    /// Waits until every proxy says that it is ready.
    pub fn wait_ready(&self) -> Result<()> {
        self.workloads.values().try_for_each(Workload::wait_ready)
    }

    /// A workload by its name, such as `reviews-v1`.
    pub fn get(&self, name: &str) -> Result<&Workload> {
        self.workloads.get(name).ok_or_else(|| anyhow!("there is no workload {name}"))
    }

    /// A workload by its name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Result<&mut Workload> {
        self.workloads.get_mut(name).ok_or_else(|| anyhow!("there is no workload {name}"))
    }

    /// Starts a workload's proxy again.
    pub fn restart_proxy(&mut self, name: &str) -> Result<()> {
        let workload = self.workloads.get_mut(name).ok_or_else(|| anyhow!("there is no workload {name}"))?;
        workload.run_proxy(&self.control_plane)
    }

    /// All workloads.
    pub fn workloads(&self) -> impl Iterator<Item = &Workload> {
        self.workloads.values()
    }

    /// The directory of YAML that the control plane reads.
    pub fn config(&self) -> &Path {
        &self.config
    }
}

fn file(workload: &Workload) -> String {
    format!("20-pod-{}.yaml", workload.name())
}

/// The virtual address of a service.
pub fn service_ip(role: Role) -> IpAddr {
    Ipv4Addr::new(10, 96, 0, 10 + role as u8).into()
}
