//! What the proxies call: HAProxy, which answers HTTP by itself, nghttpd for gRPC, and iperf3 for bytes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use mesh_testkit::lab::{Pod, Process, User};

use super::LOAD;
use crate::wait;

/// HTTP/1.1, 1 KiB a response.
pub(crate) const HTTP: u16 = 9080;
/// The same, without redirection into a sidecar.
pub(crate) const PLAIN: u16 = 9081;
/// The same, declared as bytes.
pub(crate) const TCP: u16 = 9070;
/// gRPC over HTTP/2 in plain text.
pub(crate) const GRPC: u16 = 9090;
/// iperf3.
pub(crate) const BULK: u16 = 9060;

/// A gRPC message of one string, such as greeters answer.
const MESSAGE: &[u8] = b"\x00\x00\x00\x00\x0d\x0a\x0bhello world";

pub(super) fn start(pod: &Pod) -> Result<Vec<Process>> {
    let pages = pod.directory().join("grpc");
    fs::create_dir_all(&pages)?;
    fs::write(pages.join("index.html"), MESSAGE)?;
    let mut nghttpd = LOAD.command(pod, User::Application, Path::new("nghttpd"));
    nghttpd.args(["--no-tls", "--trailer", "grpc-status: 0", "--htdocs"]).arg(&pages).arg(GRPC.to_string());
    let mut iperf3 = LOAD.command(pod, User::Application, Path::new("iperf3"));
    iperf3.args(["--server", "--port", &BULK.to_string()]);
    Ok(vec![
        http(pod)?,
        await_start(pod, "nghttpd", &mut nghttpd, GRPC)?,
        await_start(pod, "iperf3", &mut iperf3, BULK)?,
    ])
}

/// The origin of HTTP/1.1 alone.
pub(super) fn http(pod: &Pod) -> Result<Process> {
    let directory = pod.directory();
    let body = directory.join("body");
    fs::write(&body, "x".repeat(1024))?;
    let file = directory.join("origin.cfg");
    fs::write(
        &file,
        format!(
            "global\n  nbthread 1\ndefaults\n  mode http\n  timeout client 300s\n  timeout server 300s\n  timeout connect 5s\n\
             frontend origin\n  bind :{HTTP}\n  bind :{PLAIN}\n  bind :{TCP}\n  \
             http-request return status 200 content-type text/plain file {}\n",
            body.display()
        ),
    )?;
    let mut haproxy = LOAD.command(pod, User::Application, Path::new("haproxy"));
    haproxy.args(["-db", "-q", "-f"]).arg(&file);
    await_start(pod, "haproxy", &mut haproxy, PLAIN)
}

fn await_start(pod: &Pod, name: &str, command: &mut std::process::Command, port: u16) -> Result<Process> {
    let mut process = pod.spawn(name, command)?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let started = wait::until(name, || {
        anyhow::ensure!(process.is_running(), "it has ended");
        pod.inside(|| wait::is_open(address))
    });
    started.map_err(|error| error.context(process.output()))?;
    Ok(process)
}
