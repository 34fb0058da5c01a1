//! gRPC as the wire has it: HTTP/2, a message in a frame of five bytes and more, the status in trailers.

use std::convert::Infallible;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// A message with its frame.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(message);
    frame.freeze()
}

/// Answers every call with the version of the service; nothing but HTTP/2 is understood.
pub(super) async fn serve(listener: TcpListener, version: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let version = version.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let version = version.clone();
                async move { Ok::<_, Infallible>(answer(request, &version).await) }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // A client that goes away in the middle is the client's business.
            let _ = server.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    version: &str,
) -> Response<impl Body<Data = Bytes, Error = Infallible> + use<>> {
    let status = match request.into_body().collect().await {
        Ok(_) => "0",
        Err(_) => "1",
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let body = Full::new(framed(version.as_bytes())).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
