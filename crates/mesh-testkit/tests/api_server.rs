//! The API server of the test kit: it serves, keeps what it was told over a crash, and leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

use std::path::Path;
use std::process::Command;

use mesh_testkit::kube::{APISERVER_VARIABLE, ApiServer, ETCD_VARIABLE};

/// Whether the binaries are told. Only outside CI may they be missing.
fn is_possible() -> bool {
    let told = [APISERVER_VARIABLE, ETCD_VARIABLE].iter().all(|name| std::env::var_os(name).is_some());
    assert!(told || std::env::var_os("CI").is_none(), "{APISERVER_VARIABLE} and {ETCD_VARIABLE} are not told");
    if !told {
        eprintln!("SKIPPED: {APISERVER_VARIABLE} and {ETCD_VARIABLE} are not told; `cargo xtask setup` tells them");
    }
    told
}

#[test]
fn it_keeps_what_it_was_told_over_a_crash_and_leaves_nothing_behind() {
    if !is_possible() {
        return;
    }
    let mut server = ApiServer::start().unwrap();
    let created = call(&server, &["--request", "POST", "--data", NAMESPACE], "/api/v1/namespaces");
    assert!(created.contains("\"name\": \"shop\""), "{created}");

    server.kill();
    assert_eq!(call(&server, &[], "/api/v1/namespaces/shop"), "", "a killed server answered");
    server.resume().unwrap();
    let kept = call(&server, &[], "/api/v1/namespaces/shop");
    assert!(kept.contains("\"phase\": \"Active\""), "{kept}");

    let directory = server.kubeconfig().parent().map(Path::to_owned).unwrap();
    drop(server);
    assert!(!directory.exists());
    let processes = Command::new("pgrep").args(["-f", &directory.display().to_string()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&processes.stdout), "");
}

const NAMESPACE: &str = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}"#;

fn call(server: &ApiServer, arguments: &[&str], path: &str) -> String {
    let directory = server.kubeconfig().parent().unwrap();
    let kubeconfig = std::fs::read_to_string(server.kubeconfig()).unwrap();
    let token = kubeconfig.split("token: \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let output = Command::new("curl")
        .args(["--silent", "--cacert"])
        .arg(directory.join("ca.pem"))
        .args(["--header", &format!("Authorization: Bearer {token}"), "--header", "Content-Type: application/json"])
        .args(arguments)
        .arg(format!("{}{path}", server.url()))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
