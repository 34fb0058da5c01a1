//! What fails, and what is made of it.

use std::net::SocketAddr;
use std::time::Duration;

use weft_proxy::model::*;

use crate::world::{Setting, ejects_at_once, run, target};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn retry(on: RetryOn) -> RetryPolicy {
    RetryPolicy {
        on,
        status_codes: Vec::new(),
        attempts: 2,
        per_try_timeout: None,
        base_interval: Duration::from_millis(1),
        max_interval: Duration::from_millis(2),
        other_hosts: true,
        host_attempts: 5,
        other_priorities: false,
    }
}

fn with_target(setting: &mut Setting, change: impl FnOnce(&mut RouteTarget)) {
    let mut target = target();
    change(&mut target);
    setting.route.action = RouteAction::Forward(target);
}

#[test]
fn malformed_requests_are_refused_and_the_connection_closed() {
    run(
        |_| (),
        |world| async move {
            for bad in [
                "GET / HTTP/1.1\r\n\r\n",
                "BAD\r\n\r\n",
                "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            ] {
                let mut client = world.connect().await;
                client.send(bad).await;
                let answer = client.read_all().await;
                assert!(
                    answer.starts_with("HTTP/1.1 400 ") && answer.contains("connection: close"),
                    "{bad:?}: {answer}"
                );
            }
        },
    );
}

#[test]
fn nobody_there_is_a_503_that_says_so() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(
        |setting| setting.more = vec![closed; 1],
        |world| async move {
            let mut refused = 0;
            for _ in 0..2 {
                let mut client = world.connect().await;
                client.send(GET).await;
                tokio::select! {
                    answer = client.read_head() => {
                        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
                        refused += 1;
                    }
                    mut origin = world.accept() => {
                        origin.read_head().await;
                        origin.send(OK).await;
                    }
                }
            }
            assert_eq!(refused, 1);
        },
    );
}

#[test]
fn a_failed_connection_is_tried_elsewhere() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let change = |setting: &mut Setting| {
        setting.more = vec![closed];
        with_target(setting, |target| {
            target.retry = Some(retry(RetryOn { connect_failure: true, ..Default::default() }).into());
        });
    };
    run(change, |world| async move {
        for _ in 0..4 {
            let mut client = world.connect().await;
            client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody").await;
            let mut origin = world.accept().await;
            origin.read_to("body").await;
            origin.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
            assert!(client.read_all().await.starts_with("HTTP/1.1 200"));
        }
    });
}

#[test]
fn answers_are_tried_again_as_the_policy_says() {
    let change = |setting: &mut Setting| {
        with_target(setting, |target| {
            target.retry = Some(retry(RetryOn { five_xx: true, ..Default::default() }).into())
        });
    };
    run(change, |world| async move {
        let mut client = world.connect().await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody").await;
        for status in ["500 Internal Server Error", "503 Service Unavailable", "200 OK"] {
            let mut origin = world.accept().await;
            assert!(origin.read_to("body").await.starts_with("POST / "), "the body is sent again");
            origin.send(&format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok")).await;
        }
        assert!(client.read_to("ok").await.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn a_slow_origin_is_a_504() {
    let change =
        |setting: &mut Setting| with_target(setting, |target| target.timeout = Some(Duration::from_millis(50)));
    run(change, |world| async move {
        let mut client = world.connect().await;
        client.send(GET).await;
        let _origin = world.accept().await;
        let answer = client.read_to("upstream request timeout").await;
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    });
}

#[test]
fn a_kept_connection_that_was_closed_meanwhile_fails_no_harmless_request() {
    run(
        |_| (),
        |world| async move {
            let mut client = world.connect().await;
            client.send(GET).await;
            let mut origin = world.accept().await;
            origin.read_head().await;
            origin.send(OK).await;
            client.read_to("ok").await;
            // The origin closes at the very moment of the next request: reads it, and never answers.
            client.send(GET).await;
            origin.read_head().await;
            drop(origin);
            let mut fresh = world.accept().await;
            fresh.read_head().await;
            fresh.send(OK).await;
            assert!(client.read_to("ok").await.starts_with("HTTP/1.1 200"));
        },
    );
}

#[test]
fn an_answer_that_breaks_off_is_seen_to_break_off() {
    run(
        |_| (),
        |world| async move {
            let mut client = world.connect().await;
            client.send(GET).await;
            let mut origin = world.accept().await;
            origin.read_head().await;
            origin.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
            client.read_to("half\r\n").await;
            drop(origin);
            assert_eq!(client.read_all().await, "", "no last chunk");
        },
    );
}

#[test]
fn limits_refuse_what_is_too_much() {
    run(
        |setting| setting.cluster.breakers.max_requests = 1,
        |world| async move {
            let mut first = world.connect().await;
            first.send(GET).await;
            let mut origin = world.accept().await;
            origin.read_head().await;
            let mut second = world.connect().await;
            second.send(GET).await;
            let answer = second.read_to("(max_requests)").await;
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("x-envoy-overloaded: true"), "{answer}");
            origin.send(OK).await;
            first.read_to("ok").await;
        },
    );
}

#[test]
fn requests_wait_for_a_connection_within_the_limits() {
    let change = |setting: &mut Setting| {
        setting.cluster.breakers.max_connections = 1;
        setting.cluster.breakers.max_pending = 1;
        setting.cluster.outlier = Some(ejects_at_once());
    };
    run(change, |world| async move {
        let (mut first, mut second, mut third) = (world.connect().await, world.connect().await, world.connect().await);
        first.send(GET).await;
        let mut origin = world.accept().await;
        origin.read_head().await;
        second.send(GET).await;
        tokio::task::yield_now().await;
        third.send(GET).await;
        let refused = tokio::select! { answer = second.read_head() => answer, answer = third.read_head() => answer };
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        origin.send(OK).await;
        first.read_to("ok").await;
        origin.read_head().await;
        origin.send(OK).await;
        // A limit that was met says nothing of the endpoint: it is not ejected.
        first.send(GET).await;
        origin.read_head().await;
        origin.send(OK).await;
        first.read_to("ok").await;
    });
}

#[test]
fn injected_faults_answer_and_delay() {
    let all = Percent(1_000_000);
    let injection =
        FaultInjection { abort: Some((418, all)), delay: Some((Duration::from_millis(80), all)), ..Default::default() };
    run(
        |setting| setting.route.fault = Some(injection.into()),
        |world| async move {
            let began = std::time::Instant::now();
            let mut client = world.connect().await;
            client.send(GET).await;
            let answer = client.read_to("fault filter abort").await;
            assert!(answer.starts_with("HTTP/1.1 418 "), "{answer}");
            assert!(began.elapsed() >= Duration::from_millis(80));
        },
    );
}

#[test]
fn mirrors_get_a_copy() {
    let change = |setting: &mut Setting| {
        with_target(setting, |target| {
            target.mirrors =
                vec![Mirror { cluster: "origin".into(), percent: Percent(1_000_000), shadow_suffix: true }];
        });
    };
    run(change, |world| async move {
        let mut client = world.connect().await;
        client.send("POST /m HTTP/1.1\r\nhost: shop:80\r\ncontent-length: 4\r\n\r\nbody").await;
        let mut origin = world.accept().await;
        origin.read_to("body").await;
        origin.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
        client.read_to("ok").await;
        let mut copy = world.accept().await;
        let text = copy.read_to("body").await;
        assert!(text.starts_with("POST /m ") && text.contains("host: shop-shadow:80"), "{text}");
    });
}

/// An address that takes connections and says nothing, as one whose pod was killed does until its endpoint is removed:
/// the queue of its listener is full.
fn silent() -> (std::net::TcpListener, Vec<std::net::TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(1).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut held = Vec::new();
    while let Ok(one) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        held.push(one);
    }
    (socket.into(), held)
}

#[test]
fn an_endpoint_that_does_not_answer_is_raced_by_another() {
    let (listener, _held) = silent();
    let gone = listener.local_addr().unwrap();
    run(
        |setting| {
            setting.more = vec![gone];
            setting.cluster.connect_timeout = Duration::from_secs(15);
        },
        |world| async move {
            // Every second request meets the silent one first.
            for _ in 0..2 {
                let mut client = world.connect().await;
                client.send(GET).await;
                let mut origin = world.accept().await;
                origin.read_head().await;
                origin.send(&OK.replace("200 OK\r\n", "200 OK\r\nconnection: close\r\n")).await;
                assert!(client.read_to("ok").await.starts_with("HTTP/1.1 200"));
            }
        },
    );
}
