//! One service of the shop.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{PORT, Role, Shop};

/// Headers that a service passes on to what it calls.
const PASSED_ON: [&str; 6] = ["x-request-id", "traceparent", "tracestate", "end-user", "authorization", "cookie"];
/// The largest answer that is read from another service.
const LARGEST_ANSWER: usize = 1 << 20;

struct Service {
    shop: Shop,
    client: Client<HttpConnector, Empty<Bytes>>,
    /// Every request is answered with 500.
    sick: AtomicBool,
}

/// Serves until the process is told to end. Then it takes no more connections and no more requests, answers what it has
/// read, and ends, as frameworks do that know nothing of a mesh. Fails if the address is taken.
pub async fn serve(shop: Shop) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(shop.listen).await.context("cannot listen")?;
    let grpc = tokio::net::TcpListener::bind(shop.grpc_listen).await.context("cannot listen for gRPC")?;
    tokio::spawn(super::grpc::serve(grpc, shop.version.clone()));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let service = Arc::new(Service { shop, client, sick: AtomicBool::new(false) });
    println!("{} {} listens on {}", service.shop.role.name(), service.shop.version, service.shop.listen);
    let mut end = signal(SignalKind::terminate())?;
    let open = GracefulShutdown::new();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = end.recv() => break,
        };
        let (service, watcher) = (Arc::clone(&service), open.watcher());
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let service = Arc::clone(&service);
                async move { Ok::<_, Infallible>(service.answer(request).await) }
            });
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // A client that goes away in the middle is the client's business.
            let _ = watcher.watch(server.serve_connection(TokioIo::new(stream), answer).into_owned()).await;
        });
    }
    drop(listener);
    open.shutdown().await;
    Ok(())
}

impl Service {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let headers = request.headers().clone();
        match (request.method(), self.shop.role, path.as_str()) {
            (&Method::PUT, _, "/sick") => self.become_sick(true),
            (&Method::DELETE, _, "/sick") => self.become_sick(false),
            _ if self.sick.load(Ordering::Relaxed) => {
                self.respond(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": "sick" }))
            }
            (&Method::GET, _, "/health") => self.respond(StatusCode::OK, json!({ "status": "UP" })),
            (_, _, "/echo") => self.echo(request).await,
            (&Method::GET, _, _) if path.starts_with("/slow/") => self.slow(&path["/slow/".len()..]).await,
            (&Method::GET, Role::Productpage, "/productpage") => self.product(&headers).await,
            (&Method::GET, Role::Details, _) if path.starts_with("/details/") => {
                self.respond(StatusCode::OK, json!({ "author": "William Shakespeare", "year": 1595, "pages": 200 }))
            }
            (&Method::GET, Role::Ratings, _) if path.starts_with("/ratings/") => {
                self.respond(StatusCode::OK, json!({ "ratings": { "Reviewer1": 5, "Reviewer2": 4 } }))
            }
            (&Method::GET, Role::Membership, "/actuator/health") => {
                self.respond(StatusCode::OK, json!({ "status": "UP" }))
            }
            (&Method::GET, Role::Membership, _) if path.starts_with("/members/") => {
                self.respond(StatusCode::OK, json!({ "member": &path["/members/".len()..], "since": 2019 }))
            }
            (&Method::GET, Role::Reviews, _) if path.starts_with("/reviews/") => self.reviews(&headers).await,
            _ => self.respond(StatusCode::NOT_FOUND, json!({ "error": "no such page" })),
        }
    }

    fn become_sick(&self, sick: bool) -> Response<Full<Bytes>> {
        self.sick.store(sick, Ordering::Relaxed);
        self.respond(StatusCode::OK, json!({ "sick": sick }))
    }

    async fn product(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let (details, reviews) = tokio::join!(
            self.call(Role::Details, "/details/0", headers),
            self.call(Role::Reviews, "/reviews/0", headers)
        );
        self.respond(StatusCode::OK, json!({ "details": details, "reviews": reviews }))
    }

    async fn reviews(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let mut body = json!({ "reviews": ["An extremely entertaining play", "Absolutely fun"] });
        if self.shop.version != "v1" {
            body["ratings"] = self.call(Role::Ratings, "/ratings/0", headers).await;
        }
        self.respond(StatusCode::OK, body)
    }

    /// Answers after so many milliseconds, ten seconds at most.
    async fn slow(&self, milliseconds: &str) -> Response<Full<Bytes>> {
        let wait = milliseconds.parse().unwrap_or(0).min(10_000);
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        self.respond(StatusCode::OK, json!({ "waited": wait }))
    }

    async fn echo(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, uri) = (request.method().to_string(), request.uri().to_string());
        let headers: Value = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes()))))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let length = match Limited::new(request, LARGEST_ANSWER).collect().await {
            Ok(body) => body.to_bytes().len(),
            Err(_) => return self.respond(StatusCode::PAYLOAD_TOO_LARGE, json!({})),
        };
        self.respond(StatusCode::OK, json!({ "method": method, "uri": uri, "headers": headers, "length": length }))
    }

    /// Calls another service and returns its answer with its status, or what went wrong.
    async fn call(&self, role: Role, path: &str, headers: &HeaderMap) -> Value {
        match self.try_call(role, path, headers).await {
            Ok((status, mut body)) => {
                if let Value::Object(fields) = &mut body {
                    fields.insert("status".to_owned(), status.as_u16().into());
                }
                body
            }
            Err(error) => json!({ "status": 0, "error": format!("{error:#}") }),
        }
    }

    async fn try_call(&self, role: Role, path: &str, headers: &HeaderMap) -> Result<(StatusCode, Value)> {
        let mut request = Request::get(format!("http://{}:{PORT}{path}", role.name()));
        for name in PASSED_ON {
            for value in headers.get_all(name) {
                request = request.header(name, value);
            }
        }
        let response = self.client.request(request.body(Empty::new())?).await?;
        let status = response.status();
        let body =
            Limited::new(response, LARGEST_ANSWER).collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
        let text = || Value::from(String::from_utf8_lossy(&body));
        Ok((status, serde_json::from_slice(&body).unwrap_or_else(|_| json!({ "text": text() }))))
    }

    fn respond(&self, status: StatusCode, mut body: Value) -> Response<Full<Bytes>> {
        body["service"] = self.shop.role.name().into();
        body["version"] = self.shop.version.as_str().into();
        body["pod"] = self.shop.pod.as_str().into();
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        response
    }
}
