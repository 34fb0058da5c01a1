//! What of Istio's `pilot-agent` is not the proxy itself.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Sets up redirection; beside us in the image.
const CNI_INIT: &str = "weft-cni-init";
/// An answer takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Becomes `weft-cni-init`.
pub(crate) fn iptables(flags: Vec<OsString>) -> Result<()> {
    let own = std::env::current_exe().context("where this program is")?;
    let program = own.parent().unwrap_or(Path::new("/")).join(CNI_INIT);
    let error = Command::new(&program).args(flags).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// Waits until the proxy says that it is ready.
pub(crate) fn wait(url: &Uri, patience: Duration, period: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let said = match ask(Method::GET, url.clone()) {
            Ok((StatusCode::OK, _)) => return Ok(()),
            Ok((status, text)) => format!("{status}: {}", text.trim()),
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() + period > deadline {
            bail!("the proxy is not ready after {} s: {said}", patience.as_secs());
        }
        std::thread::sleep(period);
    }
}

/// Sends a request to the proxy and prints the answer.
pub(crate) fn request(port: u16, method: Method, path: &str) -> Result<()> {
    let url = format!("http://localhost:{port}/{}", path.trim_start_matches('/')).parse().context("the path")?;
    let (status, text) = ask(method, url)?;
    print!("{text}");
    ensure!(status.is_success(), "the proxy answered {status}");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn ask(method: Method, url: Uri) -> Result<(StatusCode, String)> {
    let asked = async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let request = Request::builder().method(method).uri(&url).body(Empty::new())?;
        let response = client.request(request).await.with_context(|| format!("cannot ask {url}"))?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::time::timeout(PATIENCE, asked).await.with_context(|| format!("no answer from {url}"))?
}
