//! An origin that answers with what it was sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_testkit::lab::Pod;
use tokio::net::TcpListener;

/// Serves in a pod, on a thread of its own, until the test ends.
pub(crate) fn serve(pod: Arc<Pod>, port: u16, version: &'static str) {
    std::thread::spawn(move || {
        pod.inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(listen(port, version))
        })
        .unwrap();
    });
}

async fn listen(port: u16, version: &'static str) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    let calls = Arc::new(AtomicUsize::new(0));
    loop {
        let (socket, _) = listener.accept().await?;
        let calls = calls.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let calls = calls.clone();
                async move { Ok::<_, Infallible>(answer(request, version, &calls).await) }
            });
            // Either version, as the first bytes show.
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}

async fn answer(request: Request<Incoming>, version: &str, calls: &AtomicUsize) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let length = body.collect().await.map(|body| body.to_bytes().len()).unwrap_or_default();
    if path.starts_with("/slow") {
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    // Of three calls in a row the last one succeeds.
    let fails =
        path.starts_with("/flaky") && calls.fetch_add(1, Ordering::Relaxed) % 3 < 2 || path.starts_with("/once");
    let fields: BTreeMap<&str, Vec<String>> = parts
        .headers
        .keys()
        .map(|name| {
            let values = parts.headers.get_all(name).iter();
            (name.as_str(), values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect())
        })
        .collect();
    let told = serde_json::json!({
        "version": version,
        "http": format!("{:?}", parts.version),
        "method": parts.method.as_str(),
        "uri": parts.uri.to_string(),
        "fields": fields,
        "length": length,
    });
    let response = Response::builder().status(if fails { 503 } else { 200 });
    let response = response.header("x-origin", version).header("x-hide", "1").header("server", "origin");
    response.body(Full::from(told.to_string())).unwrap()
}

/// Serves bytes in a pod: says back what it hears, to the end.
pub(crate) fn serve_echo(pod: Arc<Pod>, port: u16) {
    std::thread::spawn(move || {
        pod.inside(|| {
            let listener = std::net::TcpListener::bind(("0.0.0.0", port))?;
            for socket in listener.incoming() {
                let mut socket = socket?;
                std::thread::spawn(move || std::io::copy(&mut socket.try_clone()?, &mut socket));
            }
            Ok(())
        })
        .unwrap();
    });
}
