//! `weft inject` as a process.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Exit code, standard output and standard error, for a text on standard input.
fn weft_inject(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
    command.arg("inject").args(["-f", "-"]).args(arguments);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    match process.stdin.take().unwrap().write_all(input.as_bytes()) {
        // What refuses its settings has no need to read.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    let output = process.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const SERVICE: &str = "# A comment\nkind: Service\napiVersion: v1\nmetadata: { name: web }   # kept as it is\n";
const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    metadata:
      annotations: { answer: \"yes\" }
    spec:
      containers:
        - { name: app, image: 'app:1' }
      volumes:
        - { name: files, configMap: { name: files, defaultMode: 0640 } }
";

#[test]
fn workloads_are_injected_and_others_passed_on() {
    let input = format!("{SERVICE}---\n{DEPLOYMENT}");
    let (code, output, error) = weft_inject(&["-n", "shop"], &input);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let (service, deployment) = output.strip_prefix("---\n").unwrap().split_once("---\n").unwrap();
    assert_eq!(service, SERVICE);
    assert!(deployment.contains("answer: \"yes\"\n"));
    let deployment: Value = serde_yaml_ng::from_str(deployment).unwrap();
    let spec = &deployment["spec"]["template"]["spec"];
    assert_eq!(spec["containers"][1]["name"], "istio-proxy");
    assert_eq!(spec["initContainers"][0]["name"], "istio-init");
    assert_eq!(spec["volumes"][0]["configMap"]["defaultMode"], 0o640);
}

#[test]
fn injected_twice_is_written_once() {
    let (_, once, _) = weft_inject(&[], DEPLOYMENT);
    let (code, twice, error) = weft_inject(&[], &once);
    assert_eq!((code, twice), (Some(0), once));
    assert_eq!(error, "-: Deployment default/web: left alone: it is injected already\n");
}

#[test]
fn settings_come_from_files() {
    let directory = std::env::temp_dir().join(format!("weft-inject-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let values = directory.join("values.yaml");
    std::fs::write(&values, "revision: canary\nmeshConfig: { trustDomain: example.org }\n").unwrap();
    let path = values.display().to_string();
    let (_, output, _) = weft_inject(&["--values", &path, "--kubernetes-version", "v1.33.0"], DEPLOYMENT);
    assert!(
        output.contains("value: example.org\n") && output.contains("value: \"istiod-canary.istio-system.svc:15012\"\n")
    );
    assert!(output.contains("restartPolicy: Always\n"));
    std::fs::write(&values, "global: { nativeNftables: true }\n").unwrap();
    let (code, output, error) = weft_inject(&["--values", &path], DEPLOYMENT);
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!((code, output.as_str()), (Some(2), ""));
    assert!(error.contains("values: global.nativeNftables: true is not served"), "{error}");
}

#[test]
fn a_refusal_writes_nothing_but_why() {
    let bad = DEPLOYMENT.replace("answer: \"yes\"", "sidecar.istio.io/interceptionMode: TPROXY");
    let (code, output, error) = weft_inject(&[], &format!("{SERVICE}---\n{bad}"));
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert_eq!(
        error,
        "-: Deployment default/web: error: annotation sidecar.istio.io/interceptionMode: TPROXY is not served; use \
         REDIRECT\n"
    );
    let (code, _, error) = weft_inject(&[], "a: [\n");
    assert_eq!(code, Some(2));
    assert!(error.starts_with("weft: -: document 1: "), "{error}");
}
