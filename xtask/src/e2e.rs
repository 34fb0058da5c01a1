//! `cargo xtask e2e`: a cluster, our images on its nodes, and the suite that runs on it. Where docker and a registry
//! answer, the user's are used; where not, everything is made here from packages.

mod cache;
mod cluster;
mod daemon;
mod docker;
mod go;
mod interrupt;
mod kubernetes;
mod node;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::arguments::Arguments;
use crate::run::{cargo, root, step};
use crate::{images, packages, tools};
use cache::Cache;
use cluster::Cluster;
use docker::Docker;

/// What is asked for.
struct Request {
    filter: Option<String>,
    context: Option<String>,
    /// What the nodes of the cluster that is made are made of, in place of what the pinned kind names.
    node_image: Option<String>,
    keep: bool,
    down: bool,
}

impl Request {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut arguments = Arguments::new(arguments);
        let request = Self {
            filter: arguments.option("--filter")?,
            context: arguments.option("--context")?,
            node_image: arguments.option("--node-image")?,
            keep: arguments.flag("--keep"),
            down: arguments.flag("--down"),
        };
        arguments.finish()?;
        if request.context.is_some() && request.node_image.is_some() {
            bail!("--node-image is for a cluster that is made, and --context names one that exists: give one of them");
        }
        Ok(request)
    }
}

/// Why no cluster can be made on this machine, if so.
pub(crate) fn obstacle() -> Option<&'static str> {
    if docker::is_there() { None } else { daemon::obstacle() }
}

/// Runs the suite, and removes all that was started, whatever happens.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let request = Request::read(arguments)?;
    if request.down {
        return down();
    }
    interrupt::hold()?;
    packages::install(packages::E2E)?;
    let clients = tools::kubernetes_clients()?;
    let archives = images::make(&images::Request::default())?;
    step("Suite", cargo().args(["build", "--workspace", "--locked", "--bin", "weft-e2e"]))?;
    let (cluster, _cache) = reach(&request)?;
    cluster.load(&archives)?;
    let mut suite = cluster.command(&root().join("target/debug/weft-e2e"));
    suite.arg("--context").arg(cluster.context()).arg("--report").arg(root().join("target/e2e/report"));
    suite.args(request.filter.iter().flat_map(|filter| ["--filter", filter]));
    suite.env("WEFT_HELM", clients.helm).env("WEFT_KUBECTL", clients.kubectl);
    step("Scenarios", &mut suite)
}

/// The cluster that is asked for; the cache is ours as long as its daemon is.
fn reach(request: &Request) -> Result<(Cluster, Option<Cache>)> {
    if let Some(context) = &request.context {
        return Ok((Cluster::Users(context.clone()), None));
    }
    let cache = Cache::open()?;
    let docker = Docker::find(&cache, request.node_image.as_deref(), request.keep)?;
    Ok((Cluster::make(docker, request.keep)?, Some(cache)))
}

/// Removes a cluster that was kept.
fn down() -> Result<()> {
    let cache = Cache::open()?;
    cluster::remove_kept(&cache)
}

/// Where tests find the API server: builds it if it is not there.
pub(crate) fn api_server() -> Result<Vec<(&'static str, PathBuf)>> {
    let directory = kubernetes::api_server(&Cache::open()?)?;
    Ok(vec![("WEFT_ETCD", directory.join("etcd")), ("WEFT_KUBE_APISERVER", directory.join("kube-apiserver"))])
}

/// Runs a command to its end, or to ours.
pub(crate) use interrupt::status;
