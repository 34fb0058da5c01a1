//! Clients that stand in a pod and call as an application does: by address, with a host header, over plain HTTP.

mod tls;

pub use tls::Tls;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_testkit::lab::Pod;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::shop::grpc::framed;

/// No answer of the shop takes longer than this unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(15);

/// What to ask, and of whom.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where to connect.
    pub address: SocketAddr,
    /// The host header.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// The method.
    pub method: Method,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// How it is protected; if at all.
    pub tls: Option<Tls>,
}

impl Call {
    /// A GET.
    pub fn get(address: SocketAddr, authority: &str, path: &str) -> Self {
        Self {
            address,
            authority: authority.to_owned(),
            path: path.to_owned(),
            method: Method::GET,
            headers: Vec::new(),
            body: Bytes::new(),
            tls: None,
        }
    }

    /// Over TLS, with the host of the authority as the server's name.
    #[must_use]
    pub fn over(mut self, tls: &Tls) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// A GET of `http://<host>[:<port>]<path>`, whose host is looked up now.
    pub fn url(url: &str) -> Result<Self> {
        let uri: http::Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
        let authority = uri.authority().with_context(|| format!("{url} has no host"))?;
        let address = (authority.host(), authority.port_u16().unwrap_or(80))
            .to_socket_addrs()
            .with_context(|| format!("looking up {}", authority.host()))?
            .next()
            .with_context(|| format!("{} has no address", authority.host()))?;
        Ok(Self::get(address, authority.as_str(), uri.path_and_query().map_or("/", |path| path.as_str())))
    }

    /// With another host header.
    #[must_use]
    pub fn host(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.authority);
        self
    }

    /// As a POST of a body.
    #[must_use]
    pub fn post(self, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..self }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes the call from a pod, on a connection of its own.
    pub fn from(&self, pod: &Pod) -> Result<Answer> {
        let mut answers = self.repeat_from(pod, 1)?;
        answers.pop().ok_or_else(|| anyhow!("no answer"))
    }

    /// Makes the call from where this process stands, on a connection of its own.
    pub fn from_here(&self) -> Result<Answer> {
        runtime()?.block_on(Client::default().call(self))
    }

    /// Makes the call `times` times from where this process stands, on one connection as long as the server keeps it,
    /// `per_second` times a second, and tells what happened.
    pub fn tally_from_here(&self, times: usize, per_second: u32) -> Result<Tally> {
        let tally = Mutex::default();
        runtime()?.block_on(async {
            let mut client = Client::default();
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
            for _ in 0..times {
                ticks.tick().await;
                let outcome = client.call(self).await;
                record(&tally, outcome, client.connections);
            }
        });
        Ok(tally.into_inner().unwrap_or_default())
    }

    /// Makes the call from a pod over HTTP/2, by prior knowledge.
    pub fn over_http2_from(&self, pod: &Pod) -> Result<Answer> {
        pod.inside(|| runtime()?.block_on(self.over_http2()))
    }

    async fn over_http2(&self) -> Result<Answer> {
        let start = Instant::now();
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request =
            http::Request::builder().method(&self.method).uri(format!("http://{}{}", self.authority, self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body.clone()))?;
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await??;
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await??.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body, took: start.elapsed() })
    }

    /// Makes the call `times` times from a pod, one after the other, on one connection as long as the server keeps
    /// it. Fails at the first call that gets no answer.
    pub fn repeat_from(&self, pod: &Pod, times: usize) -> Result<Vec<Answer>> {
        pod.inside(|| self.repeat_from_here(times))
    }

    /// The same from where this process stands.
    pub fn repeat_from_here(&self, times: usize) -> Result<Vec<Answer>> {
        runtime()?.block_on(async {
            let mut client = Client::default();
            let mut answers = Vec::with_capacity(times);
            for _ in 0..times {
                answers.push(client.call(self).await?);
            }
            Ok(answers)
        })
    }
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// From the call to the last byte.
    pub took: Duration,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A gRPC call with an empty message: `path` is `/<service>/<method>`.
#[derive(Clone, Debug)]
pub struct GrpcCall {
    /// Where to connect.
    pub address: SocketAddr,
    /// The authority.
    pub authority: String,
    /// The method.
    pub path: String,
}

impl GrpcCall {
    /// The method that every service of the shop has: which version it is.
    pub const VERSION: &str = "/shop.Reviews/Version";

    /// So many calls are made one by one, so that a proxy opens its connections before several are under way: it prefers
    /// whoever has fewest, and calls that wait for a connection are under way.
    const ALONE: usize = 30;
    /// So many are made at once after them.
    const TOGETHER: usize = 20;

    /// Makes the call `times` times from a pod on one connection, several at once; returns each answer's message and
    /// status.
    pub fn repeat_from(&self, pod: &Pod, times: usize) -> Result<Vec<(String, String)>> {
        pod.inside(|| self.repeat_from_here(times))
    }

    /// The same from where this process stands.
    pub fn repeat_from_here(&self, times: usize) -> Result<Vec<(String, String)>> {
        runtime()?.block_on(self.repeat(times))
    }

    async fn repeat(&self, times: usize) -> Result<Vec<(String, String)>> {
        let stream = TcpStream::connect(self.address).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut calls = tokio::task::JoinSet::new();
        let mut answers = Vec::with_capacity(times);
        for number in 0..times {
            let together = if number < Self::ALONE { 1 } else { Self::TOGETHER };
            if calls.len() >= together
                && let Some(answer) = calls.join_next().await
            {
                answers.push(answer??);
            }
            let mut sender = sender.clone();
            let request = http::Request::post(format!("http://{}{}", self.authority, self.path))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(Full::new(framed(b"")))?;
            calls.spawn(async move {
                let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await??;
                let early = status(response.headers());
                let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await??;
                let late = body.trailers().map(status).unwrap_or_default();
                let bytes = body.to_bytes();
                let message = String::from_utf8_lossy(bytes.get(5..).unwrap_or_default()).into_owned();
                anyhow::Ok((message, if late.is_empty() { early } else { late }))
            });
        }
        while let Some(answer) = calls.join_next().await {
            answers.push(answer??);
        }
        Ok(answers)
    }
}

fn status(headers: &HeaderMap) -> String {
    headers.get("grpc-status").map(|status| String::from_utf8_lossy(status.as_bytes()).into_owned()).unwrap_or_default()
}

/// A client with one connection.
#[derive(Default)]
struct Client {
    connection: Option<SendRequest<Full<Bytes>>>,
    /// How many it has made.
    connections: usize,
}

impl Client {
    async fn call(&mut self, call: &Call) -> Result<Answer> {
        let start = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, self.exchange(call));
        let (status, headers, body) = answer
            .await
            .with_context(|| format!("{} {} gave no answer in {PATIENCE:?}", call.authority, call.path))??;
        Ok(Answer { status, headers, body, took: start.elapsed() })
    }

    async fn exchange(&mut self, call: &Call) -> Result<(StatusCode, HeaderMap, Bytes)> {
        let mut connection = match self.take_connection().await {
            Some(connection) => connection,
            None => self.connect(call).await?,
        };
        let mut request = http::Request::builder().method(&call.method).uri(&call.path).header("host", &call.authority);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let response = connection.send_request(request.body(Full::new(call.body.clone()))?).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        self.connection = Some(connection);
        Ok((head.status, head.headers, body))
    }

    async fn connect(&mut self, call: &Call) -> Result<SendRequest<Full<Bytes>>> {
        self.connections += 1;
        let Some(tls) = &call.tls else {
            let stream = TcpStream::connect(call.address).await;
            return start(stream.with_context(|| format!("connecting to {}", call.address))?).await;
        };
        let host = call.authority.split(':').next().unwrap_or_default();
        start(tls.connect(call.address, host).await?).await
    }

    /// The connection of the last call, if the server still keeps it.
    async fn take_connection(&mut self) -> Option<SendRequest<Full<Bytes>>> {
        let mut connection = self.connection.take()?;
        connection.ready().await.ok()?;
        Some(connection)
    }
}

async fn start<S>(stream: S) -> Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Calls that go on in the background, at a steady rate, until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    thread: Option<JoinHandle<()>>,
}

/// What became of the calls of a [`Load`].
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answered with a 2xx.
    pub succeeded: usize,
    /// Everything else, with what it was.
    pub failures: Vec<String>,
    /// The longest that an answer took.
    pub slowest: Duration,
    /// How many connections it took.
    pub connections: usize,
}

impl Tally {
    /// Says how it went; fails if any call did, with what came of the first ones.
    pub fn without_failure(&self) -> Result<String> {
        let (failed, all) = (self.failures.len(), self.succeeded + self.failures.len());
        ensure!(failed == 0, "{failed} of {all} calls failed: {:?}", self.failures.iter().take(3).collect::<Vec<_>>());
        ensure!(all > 0, "nobody called");
        Ok(format!("{all} calls, 0 failed, the slowest took {} ms", self.slowest.as_millis()))
    }

    /// Whether anything came of any call yet.
    pub fn is_begun(&self) -> bool {
        self.succeeded + self.failures.len() > 0
    }

    /// What several clients saw together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.succeeded += other.succeeded;
        self.failures.extend(other.failures);
        self.slowest = self.slowest.max(other.slowest);
        self.connections += other.connections;
        self
    }
}

/// The longest list of failures that is kept.
const MOST_FAILURES: usize = 1000;

impl Load {
    /// Starts to call from `pod`, `per_second` times a second.
    pub fn start(pod: &Arc<Pod>, call: Call, per_second: u32) -> Self {
        let pod = Arc::clone(pod);
        Self::start_in(move |work| pod.inside(work), call, per_second)
    }

    /// Starts to call from where this process stands, `per_second` times a second.
    pub fn start_here(call: Call, per_second: u32) -> Self {
        Self::start_in(|work| work(), call, per_second)
    }

    fn start_in<P>(place: P, call: Call, per_second: u32) -> Self
    where
        P: FnOnce(&mut (dyn FnMut() -> Result<()> + Send)) -> Result<()> + Send + 'static,
    {
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Tally::default())));
        let (thread_stop, thread_tally) = (Arc::clone(&stop), Arc::clone(&tally));
        let thread = std::thread::spawn(move || {
            let work = place(&mut || {
                runtime()?.block_on(async {
                    let mut client = Client::default();
                    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
                    while !thread_stop.load(Ordering::Relaxed) {
                        ticks.tick().await;
                        let outcome = client.call(&call).await;
                        record(&thread_tally, outcome, client.connections);
                    }
                    Ok(())
                })
            });
            if let Err(error) = work {
                record(&thread_tally, Err(error), 0);
            }
        });
        Self { stop, tally, thread: Some(thread) }
    }

    /// What happened so far.
    pub fn so_far(&self) -> Tally {
        self.tally.lock().map(|tally| tally.clone()).unwrap_or_default()
    }

    /// Stops, and tells what happened.
    pub fn stop(mut self) -> Tally {
        self.end();
        self.so_far()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

fn record(tally: &Mutex<Tally>, outcome: Result<Answer>, connections: usize) {
    let Ok(mut tally) = tally.lock() else { return };
    tally.connections = tally.connections.max(connections);
    match outcome {
        Ok(answer) if answer.status.is_success() => {
            tally.succeeded += 1;
            tally.slowest = tally.slowest.max(answer.took);
        }
        Ok(answer) if tally.failures.len() < MOST_FAILURES => {
            tally.failures.push(format!("{} {}", answer.status, answer.text()));
        }
        Err(error) if tally.failures.len() < MOST_FAILURES => tally.failures.push(format!("{error:#}")),
        _ => {}
    }
}
