//! Policies that only mark requests.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_says_which_requests_an_audit_policy_matched() {
    let (origin, count) = origin().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let yaml = format!(
        "{}---
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    accessLogFile: {}
    accessLogFormat: \"%REQ(:PATH)% %DYNAMIC_METADATA(envoy.common:access_log_hint)%\\n\"
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: admin}}
spec: {{action: AUDIT, rules: [{{to: [{{operation: {{paths: ['/admin*']}}}}]}}]}}
",
        edge(18_112, "http", &[origin]),
        log.path().display()
    );
    let control = Control::start(resources(&yaml)).await;
    let process = Process::start(&control, [127, 0, 11, 12]);
    process.ready().await;
    for path in ["/admin/users", "/cart"] {
        let socket = TcpStream::connect(("127.0.0.1", 18_112)).await.unwrap();
        assert_eq!(get(socket, path).await, ok(), "it decides nothing");
    }
    assert_eq!(count.load(Ordering::Relaxed), 2);
    let lines = within(async {
        loop {
            let text = std::fs::read_to_string(log.path()).unwrap();
            if text.lines().count() == 2 {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["/admin/users true", "/cart false"]);
    process.end().await.unwrap();
}
