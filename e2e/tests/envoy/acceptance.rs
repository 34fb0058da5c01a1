//! Stock Envoy as a sidecar takes every resource.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mesh_types::{Identity, TrustDomain};

use super::agent::Agent;
use super::bootstrap::bootstrap;

const NODE: &str = "{id: sidecar~10.0.0.11~reviews-v1.default~default.svc.cluster.local, cluster: reviews.default, metadata: {LABELS: {app: reviews, version: v1}, NAMESPACE: default}}";
const YAML: &[&str] = &[
    include_str!("../simulation/shop.yaml"),
    include_str!("../../yaml/reviews-subsets.yaml"),
    include_str!("../../yaml/reviews-canary.yaml"),
    include_str!("../../yaml/ratings-retries.yaml"),
    include_str!("../../yaml/ratings-policy.yaml"),
    include_str!("../../yaml/strict.yaml"),
    ANNOUNCED,
];
/// A host that is told who calls.
const ANNOUNCED: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: announced, namespace: default}
spec:
  hosts: [announced.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: announced, namespace: default}
spec: {host: announced.example.com, trafficPolicy: {proxyProtocol: {version: V2}}}
";

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn stock_envoy_takes_every_resource() {
    let Some(envoy) = super::envoy() else { return };
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    std::fs::create_dir(&config).unwrap();
    for (index, yaml) in YAML.iter().enumerate() {
        std::fs::write(config.join(format!("{index}.yaml")), yaml).unwrap();
    }
    let ports: [u16; 5] = free_ports();
    let log = std::fs::File::create(directory.path().join("istiod.log")).unwrap();
    let istiod = Command::new(istiod())
        .arg("discovery")
        .args([
            "--config-dir".as_ref(),
            config.as_os_str(),
            "--ca-dir".as_ref(),
            directory.path().join("ca").as_os_str(),
        ])
        .args(["--grpcAddr", &local(ports[0]), "--secureGRPCAddr", &local(ports[1])])
        .args(["--monitoringAddr", &local(ports[2]), "--httpAddr", &local(ports[3])])
        .stderr(log)
        .spawn();
    let _istiod = Running(istiod.expect("istiod is built"));
    until(|| get(ports[3], "/ready").is_some());

    let keys = directory.path().join("ca");
    let arguments = ["token", "--namespace", "default", "--service-account", "reviews", "--ca-dir"];
    let token = Command::new(self::istiod()).args(arguments).arg(&keys).output().unwrap().stdout;
    let agent = Agent {
        identity: Identity::new(TrustDomain::default(), "default", "reviews").unwrap(),
        token: String::from_utf8(token).unwrap().trim().to_owned(),
        authority: local(ports[0]),
    };
    let agent = agent.serve(None, directory.path()).unwrap();
    let file = directory.path().join("envoy.yaml");
    std::fs::write(&file, bootstrap(NODE, ([127, 0, 0, 1], ports[0]).into(), &agent, ports[4])).unwrap();
    let log = std::fs::File::create(directory.path().join("envoy.log")).unwrap();
    let envoy =
        Command::new(envoy).arg("-c").arg(&file).args(["--concurrency", "1"]).stdout(Stdio::null()).stderr(log).spawn();
    let _envoy = Running(envoy.expect("Envoy starts"));
    // Clusters, endpoints and listeners: each answered.
    until(|| acknowledged(ports[3]) >= 3);
    let page = get(ports[3], "/debug/syncz").unwrap();
    assert!(page.contains("\"refused\":{}"), "{page}");
    let stats = get(ports[4], "/stats?filter=update_rejected").unwrap();
    let rejected: Vec<&str> =
        stats.lines().filter(|line| line.contains("update_rejected") && !line.ends_with(": 0")).collect();
    assert!(
        rejected.is_empty(),
        "{rejected:#?}\n{}",
        std::fs::read_to_string(directory.path().join("envoy.log")).unwrap()
    );
    // With the certificate, every listener is in use.
    until(|| {
        let listeners = get(ports[4], "/config_dump?resource=dynamic_listeners").unwrap();
        let serves = |name: &str| listeners.contains(name);
        serves("virtualInbound") && serves("0.0.0.0_9080") && !listeners.contains("warming_state")
    });
}

fn acknowledged(port: u16) -> u64 {
    let page = get(port, "/debug/syncz").unwrap_or_default();
    let number = page
        .split("\"acknowledged\":")
        .nth(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn istiod() -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.ancestors().nth(2).map(Path::to_owned).unwrap();
    built.join("istiod")
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held: Vec<TcpListener> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|index| held[index].local_addr().unwrap().port())
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn until(met: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !met() {
        assert!(Instant::now() < deadline, "not within 30 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(local(port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.starts_with("HTTP/1.1 200").then_some(text)
}
