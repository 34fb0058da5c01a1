use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An application that answers one request with `answer`; what it was asked comes back.
async fn application(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut socket, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip().to_string(), "127.0.0.6", "past our own redirection");
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            assert!(socket.read_buf(&mut seen).await.unwrap() > 0);
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(seen).unwrap()
    });
    (port, asked)
}

fn with(probes: &str, metrics: Option<&str>) -> Application {
    Application {
        address: [127, 0, 0, 1].into(),
        probes: serde_json::from_str(probes).unwrap(),
        metrics: metrics.map(|text| serde_json::from_str(text).unwrap()),
    }
}

#[tokio::test]
async fn a_probe_is_asked_as_it_was_written_and_its_status_passed_on() {
    let (port, asked) = application("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
    let probe = format!(
        r#"{{"/app-health/web/livez":{{"httpGet":{{"path":"/live?full=1","port":{port},"scheme":"HTTP","httpHeaders":[{{"name":"X-Probe","value":"1"}},{{"name":"Host","value":"shop"}}]}},"timeoutSeconds":5}}}}"#
    );
    let application = with(&probe, None);
    let (status, _) = application.probe("/app-health/web/livez").await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let asked = asked.await.unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("get /live?full=1 http/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nhost: shop\r\n") && asked.contains("\r\nx-probe: 1\r\n"), "{asked}");
    assert!(application.probe("/app-health/web/readyz").await.is_none());
}

#[tokio::test]
async fn a_port_that_is_closed_fails_its_probe_with_the_reason() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let application = with(&format!(r#"{{"/p":{{"tcpSocket":{{"port":{port}}}}}}}"#), None);
    let (status, why) = application.probe("/p").await.unwrap();
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(why.contains("cannot connect to 127.0.0.1"), "{why}");
}

#[tokio::test]
async fn grpc_is_asked_for_its_health() {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("ready", tonic_health::ServingStatus::Serving).await;
    reporter.set_service_status("sick", tonic_health::ServingStatus::NotServing).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    let probe = |name: &str| format!(r#"{{"grpc":{{"port":{port},"service":"{name}"}},"timeoutSeconds":5}}"#);
    let application = with(&format!(r#"{{"/ready":{},"/sick":{}}}"#, probe("ready"), probe("sick")), None);
    assert_eq!(application.probe("/ready").await.unwrap().0, StatusCode::OK);
    let (status, why) = application.probe("/sick").await.unwrap();
    assert!(status == StatusCode::INTERNAL_SERVER_ERROR && why.contains("NOT_SERVING"), "{status} {why}");
}

#[tokio::test]
async fn metrics_of_the_application_are_read_where_it_says() {
    let (port, asked) = application("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\na 1\n").await;
    let annotations = format!(r#"{{"path":"/actuator/prometheus","port":"{port}","scrape":"true"}}"#);
    assert_eq!(with("{}", Some(&annotations)).metrics().await.unwrap().as_deref(), Some("a 1\n"));
    assert!(asked.await.unwrap().starts_with("GET /actuator/prometheus "));
    assert_eq!(with("{}", Some(r#"{"scrape":"false"}"#)).metrics().await.unwrap(), None);
    assert_eq!(with("{}", None).metrics().await.unwrap(), None);
}
