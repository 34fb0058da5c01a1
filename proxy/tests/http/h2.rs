//! HTTP/2 on either side, spoken by the h2 crate.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weft_proxy::model::{RetryOn, RetryPolicy, RouteAction, UpstreamProtocol};

use crate::world::{Setting, World, ejects_at_once, run, target};

fn upstream_http2(setting: &mut Setting) {
    setting.cluster.http.protocol = UpstreamProtocol::Http2;
}

/// A client of the library over a connection to the proxy.
async fn client(world: &World) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(world.proxy).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    client.ready().await.unwrap()
}

/// The library's server on the origin's next connection.
async fn origin(world: &World) -> h2::server::Connection<TcpStream, Bytes> {
    let (socket, _) = world.origin.accept().await.unwrap();
    h2::server::handshake(socket).await.unwrap()
}

/// A server that answers every request with its body and the trailers of a gRPC call, on any number of connections.
fn echo(world: World) -> World {
    let listener = world.origin;
    let (again, address) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), world.proxy);
    again.set_nonblocking(true).unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::task::spawn_local(async move {
                let mut server = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((request, mut respond))) = server.accept().await {
                    tokio::task::spawn_local(async move {
                        let (bytes, _) = all(request.into_body()).await;
                        let response = Response::builder()
                            .header("content-type", "application/grpc")
                            .header("content-length", bytes.len());
                        let mut send = respond.send_response(response.body(()).unwrap(), false).unwrap();
                        send_all(&mut send, bytes).await;
                        let mut trailers = HeaderMap::new();
                        trailers.insert("grpc-status", "0".parse().unwrap());
                        let _ = send.send_trailers(trailers);
                    });
                }
            });
        }
    });
    World {
        origin: tokio::net::TcpListener::from_std(again).unwrap(),
        proxy: address,
        config: world.config,
        end: world.end,
    }
}

async fn all(mut stream: h2::RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece.unwrap();
        stream.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend_from_slice(&piece);
    }
    (bytes, stream.trailers().await.unwrap())
}

async fn send_all(send: &mut h2::SendStream<Bytes>, bytes: Vec<u8>) {
    let mut bytes = Bytes::from(bytes);
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        let room = poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
        send.send_data(bytes.split_to(room.min(bytes.len())), false).unwrap();
    }
}

/// Sends a body of so many bytes, as fast as it may.
pub(crate) async fn put(client: SendRequest<Bytes>, size: usize) {
    let request = Request::put("http://shop/").header("content-length", size).body(()).unwrap();
    let (response, mut send) = client.ready().await.unwrap().send_request(request, false).unwrap();
    send_all(&mut send, vec![0; size]).await;
    send.send_data(Bytes::new(), true).unwrap();
    assert!(response.await.unwrap().status().is_success());
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://shop{path}")).body(()).unwrap()
}

fn post(path: &str) -> Request<()> {
    Request::post(format!("http://shop{path}")).header("content-type", "application/grpc").body(()).unwrap()
}

#[test]
fn to_an_http1_origin_and_back() {
    run(
        |_| {},
        |world| async move {
            let mut client = client(&world).await;
            let (response, mut send) = client.send_request(post("/call?x=1"), false).unwrap();
            send.send_data(Bytes::from_static(b"question"), true).unwrap();
            let mut origin = world.accept().await;
            let head = origin.read_head().await;
            assert!(head.starts_with("POST /call?x=1 HTTP/1.1\r\nhost: shop\r\n"), "{head}");
            assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
            assert_eq!(origin.read_to("0\r\n\r\n").await, "8\r\nquestion\r\n0\r\n\r\n");
            origin
                .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Up: Yes\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n6\r\nanswer\r\n0\r\nX-End: 1\r\n\r\n")
                .await;
            let (parts, body) = response.await.unwrap().into_parts();
            assert_eq!((parts.status, &parts.headers["x-up"]), (StatusCode::OK, &"Yes".parse().unwrap()));
            assert!(!parts.headers.contains_key("transfer-encoding") && !parts.headers.contains_key("x-hop"));
            let (bytes, trailers) = all(body).await;
            assert_eq!((&bytes[..], trailers.unwrap()["x-end"].to_str().unwrap()), (&b"answer"[..], "1"));
        },
    );
}

#[test]
fn from_an_http1_client() {
    run(upstream_http2, |world| async move {
        let mut client = world.connect().await;
        client.send("POST /p HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\nX-Mixed: Case\r\n\r\nbody").await;
        let mut origin = origin(&world).await;
        let serve = async {
            let (request, mut respond) = origin.accept().await.unwrap().unwrap();
            let (parts, body) = request.into_parts();
            assert_eq!((parts.method.as_str(), parts.uri.path()), ("POST", "/p"));
            assert_eq!(
                (&parts.headers["x-mixed"], &parts.headers["content-length"]),
                (&"Case".parse().unwrap(), &"4".parse().unwrap())
            );
            let collect = tokio::task::spawn_local(all(body));
            let response = Response::builder().status(201).header("content-length", "3").body(()).unwrap();
            let mut send = respond.send_response(response, false).unwrap();
            send.send_data(Bytes::from_static(b"yes"), true).unwrap();
            tokio::select! {
                _ = poll_fn(|cx| origin.poll_closed(cx)) => panic!("closed"),
                bytes = collect => assert_eq!(bytes.unwrap().0, b"body"),
            }
            let _ = poll_fn(|cx| origin.poll_closed(cx)).await;
        };
        tokio::select! {
            text = client.read_to("yes") => {
                assert!(text.starts_with("HTTP/1.1 201 Created\r\ncontent-length: 3\r\n"), "{text}");
            }
            () = serve => {}
        }
    });
}

#[test]
fn grpc_both_ways_many_at_once() {
    run(upstream_http2, |world| async move {
        let world = echo(world);
        let client = client(&world).await;
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..50_usize {
            let mut client = client.clone().ready().await.unwrap();
            calls.spawn_local(async move {
                let body: Vec<u8> = (0..n * 9000).map(|at| (at + n) as u8).collect();
                let (response, mut send) = client.send_request(post("/pkg.Service/Echo"), false).unwrap();
                let sending = async {
                    send_all(&mut send, body.clone()).await;
                    send.send_data(Bytes::new(), true).unwrap();
                };
                let receiving = async { all(response.await.unwrap().into_body()).await };
                let ((), (bytes, trailers)) = tokio::join!(sending, receiving);
                assert!(bytes == body, "call {n}: {} of {} bytes", bytes.len(), body.len());
                assert_eq!(trailers.unwrap()["grpc-status"], "0");
            });
        }
        while let Some(call) = calls.join_next().await {
            call.unwrap();
        }
    });
}

#[test]
fn a_slow_reader_holds_only_itself() {
    run(upstream_http2, |world| async move {
        let world = echo(world);
        let mut client = client(&world).await;
        let (response, mut send) = client.send_request(post("/slow"), false).unwrap();
        // More than all windows on the way hold, of an answer that nobody reads.
        let sending = tokio::task::spawn_local(async move {
            send_all(&mut send, vec![0; 3 << 20]).await;
            send.send_data(Bytes::new(), true).unwrap();
        });
        let slow = response.await.unwrap();
        for _ in 0..20 {
            let (response, _) = client.send_request(post("/fast"), true).unwrap();
            all(response.await.unwrap().into_body()).await;
        }
        let (bytes, _) = all(slow.into_body()).await;
        sending.await.unwrap();
        assert_eq!(bytes.len(), 3 << 20);
    });
}

#[test]
fn what_was_not_processed_is_sent_again() {
    run(upstream_http2, |world| async move {
        let mut client = client(&world).await;
        let (response, _) = client.send_request(get("/"), true).unwrap();
        let serve = async {
            let mut first = origin(&world).await;
            let (_, mut respond) = first.accept().await.unwrap().unwrap();
            respond.send_reset(h2::Reason::REFUSED_STREAM);
            let (_, mut respond) = first.accept().await.unwrap().unwrap();
            respond.send_response(Response::new(()), true).unwrap();
            let _ = poll_fn(|cx| first.poll_closed(cx)).await;
        };
        tokio::select! {
            response = response => assert_eq!(response.unwrap().status(), 200),
            () = serve => {}
        }
    });
}

#[test]
fn a_reset_is_a_503_and_is_retried_if_asked() {
    let reset_once = |retry: bool| {
        move |setting: &mut Setting| {
            upstream_http2(setting);
            let mut target = target();
            target.retry = retry.then(|| {
                RetryPolicy {
                    on: RetryOn { reset: true, ..RetryOn::default() },
                    status_codes: Vec::new(),
                    attempts: 1,
                    per_try_timeout: None,
                    base_interval: Duration::from_millis(1),
                    max_interval: Duration::from_millis(1),
                    other_hosts: false,
                    host_attempts: 1,
                    other_priorities: false,
                }
                .into()
            });
            setting.route.action = RouteAction::Forward(target);
        }
    };
    for (retry, status) in [(false, 503), (true, 200)] {
        run(reset_once(retry), |world| async move {
            let mut client = client(&world).await;
            let (response, _) = client.send_request(get("/"), true).unwrap();
            let serve = async {
                let mut origin = origin(&world).await;
                let mut calls = 0;
                while let Some(Ok((_, mut respond))) = origin.accept().await {
                    calls += 1;
                    match calls {
                        1 => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                        _ => _ = respond.send_response(Response::new(()), true),
                    }
                }
            };
            tokio::select! {
                response = response => assert_eq!(response.unwrap().status(), status),
                () = serve => {}
            }
        });
    }
}

#[test]
fn who_goes_away_takes_the_request_along() {
    run(upstream_http2, |world| async move {
        let mut client = client(&world).await;
        let (response, mut send) = client.send_request(post("/"), false).unwrap();
        let mut origin = origin(&world).await;
        let (request, _respond) = origin.accept().await.unwrap().unwrap();
        send.send_reset(h2::Reason::CANCEL);
        drop(response);
        let mut body = request.into_body();
        let seen = async {
            tokio::select! {
                piece = body.data() => piece.unwrap().unwrap_err(),
                _ = poll_fn(|cx| origin.poll_closed(cx)) => panic!("the connection goes on"),
            }
        };
        assert_eq!(seen.await.reason(), Some(h2::Reason::CANCEL));
    });
}

#[test]
fn a_connection_ends_with_the_last_request_that_it_may_carry() {
    for most in [1, 2] {
        let limited = move |setting: &mut Setting| {
            upstream_http2(setting);
            setting.cluster.http.max_requests_per_connection = most;
        };
        run(limited, |world| async move {
            let mut client = client(&world).await;
            let calls = async {
                for _ in 0..4 {
                    let (response, _) = client.send_request(get("/"), true).unwrap();
                    assert_eq!(response.await.unwrap().status(), 200);
                }
            };
            let serving = async {
                for _ in 0..4 / most {
                    let (mut origin, mut requests) = (origin(&world).await, 0);
                    while let Some(Ok((_, mut respond))) = origin.accept().await {
                        respond.send_response(Response::new(()), true).unwrap();
                        requests += 1;
                    }
                    assert_eq!(requests, most);
                }
            };
            tokio::join!(calls, serving);
        });
    }
}

#[test]
fn goaway_moves_on_to_another_connection() {
    run(upstream_http2, |world| async move {
        let mut client = client(&world).await;
        for _ in 0..3 {
            let (response, _) = client.send_request(get("/"), true).unwrap();
            let serve = async {
                let mut origin = origin(&world).await;
                let (_, mut respond) = origin.accept().await.unwrap().unwrap();
                respond.send_response(Response::new(()), true).unwrap();
                origin.graceful_shutdown();
                assert!(origin.accept().await.is_none());
                std::future::pending::<()>().await;
            };
            tokio::select! {
                response = response => assert_eq!(response.unwrap().status(), 200),
                () = serve => {}
            }
        }
    });
}

#[test]
fn a_websocket_over_http2_reaches_an_http1_origin() {
    run(
        |setting| {
            let RouteAction::Forward(target) = &mut setting.route.action else { unreachable!() };
            target.upgrades = Vec::new();
        },
        |world| async move {
            let socket = TcpStream::connect(world.proxy).await.unwrap();
            let (client, mut connection) = h2::client::handshake(socket).await.unwrap();
            let mut settled = client.ready().await.unwrap();
            // The settings say that upgrades are taken; they come before the first answer.
            let (response, _) = settled.send_request(get("/"), true).unwrap();
            let mut origin = world.accept_while(&mut connection).await;
            tokio::task::spawn_local(async move {
                let _ = connection.await;
            });
            origin.read_head().await;
            origin.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            response.await.unwrap();
            let mut request = Request::builder().method("CONNECT").uri("http://shop/chat").body(()).unwrap();
            request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
            let (response, mut send) = settled.ready().await.unwrap().send_request(request, false).unwrap();
            let head = origin.read_head().await;
            assert!(head.starts_with("GET /chat HTTP/1.1\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
            assert!(head.contains("sec-websocket-key: ") && head.contains("connection: upgrade\r\n"), "{head}");
            origin
                .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello")
                .await;
            let response = response.await.unwrap();
            assert_eq!(response.status(), 200);
            let mut body = response.into_body();
            assert_eq!(&body.data().await.unwrap().unwrap()[..], b"hello");
            send.send_data(Bytes::from_static(b"hi"), true).unwrap();
            assert_eq!(origin.read_to("hi").await, "hi");
        },
    );
}

#[test]
fn a_head_that_is_too_large_is_told_so() {
    run(
        |setting| setting.http.max_head = 4096,
        |world| async move {
            let mut client = client(&world).await;
            let mut request = get("/");
            request.headers_mut().insert("x-large", "v".repeat(5000).parse().unwrap());
            let (response, _) = client.send_request(request, true).unwrap();
            assert_eq!(response.await.unwrap().status(), 431);
        },
    );
}

#[test]
fn an_endpoint_is_judged_by_the_trailers_of_grpc() {
    let judge = |setting: &mut Setting| {
        upstream_http2(setting);
        setting.cluster.outlier = Some(ejects_at_once());
    };
    run(judge, |world| async move {
        let mut client = client(&world).await;
        let mut answers = Vec::new();
        let calls = async {
            for _ in 0..2 {
                let (response, _) = client.send_request(post("/pkg.Service/Call"), true).unwrap();
                let (parts, body) = response.await.unwrap().into_parts();
                let (_, trailers) = all(body).await;
                let status = trailers.as_ref().unwrap_or(&parts.headers)["grpc-status"].clone();
                let message = parts.headers.get("grpc-message").cloned();
                answers.push((status, message.map(|message| message.to_str().unwrap().to_owned())));
            }
        };
        let serve = async {
            let mut origin = origin(&world).await;
            while let Some(Ok((_, mut respond))) = origin.accept().await {
                let mut send = respond.send_response(Response::new(()), false).unwrap();
                let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "14".parse().unwrap())]);
                send.send_trailers(trailers).unwrap();
            }
        };
        tokio::select! {
            () = calls => {}
            () = serve => panic!("the origin ended"),
        }
        assert_eq!((answers[0].0.to_str().unwrap(), &answers[0].1), ("14", &None));
        let refused = answers[1].1.as_deref().unwrap_or_default();
        assert!(refused.starts_with("no healthy upstream"), "{answers:?}");
    });
}

#[test]
fn an_answer_to_head_tells_a_length_and_has_none() {
    run(upstream_http2, |world| async move {
        let mut client = client(&world).await;
        let request = Request::head("http://shop/").body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let serve = async {
            let mut origin = origin(&world).await;
            let (_, mut respond) = origin.accept().await.unwrap().unwrap();
            let response = Response::builder().header("content-length", "243").body(()).unwrap();
            respond.send_response(response, true).unwrap();
            let _ = poll_fn(|cx| origin.poll_closed(cx)).await;
        };
        let asked = async {
            let (parts, body) = response.await.unwrap().into_parts();
            assert_eq!(parts.headers["content-length"], "243");
            assert!(all(body).await.0.is_empty());
        };
        tokio::select! {
            () = asked => {}
            () = serve => panic!("the origin ended"),
        }
    });
}

#[test]
fn an_answer_to_no_ping_ends_nothing() {
    run(
        |_| {},
        |world| async move {
            let mut peer = world.connect().await;
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let pong = [0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
            let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1];
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
            peer.0.write_all(&[&preface[..], &settings, &pong].concat()).await.unwrap();
            // Only once it must have acted on the first is it asked again.
            let mut told = Vec::new();
            while !told.ends_with(&[0, 0, 0, 4, 1, 0, 0, 0, 0]) {
                assert_ne!(peer.0.read_buf(&mut told).await.unwrap(), 0);
            }
            peer.0.write_all(&ping).await.unwrap();
            let answer = [0, 0, 8, 6, 1, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1];
            while !told.ends_with(&answer) {
                assert_ne!(peer.0.read_buf(&mut told).await.unwrap(), 0, "the connection was closed");
            }
        },
    );
}
