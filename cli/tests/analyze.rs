//! `weft analyze` as a process.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::path::Path;
use std::process::Command;

/// Exit code and standard output.
fn weft_analyze(path: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_weft")).arg("analyze").arg(path).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn ingress(path_type: &str, port: &str) -> String {
    format!(
        "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  annotations: {{kubernetes.io/ingress.class: istio}}
spec:
  rules:
    - host: web.example.com
      http:
        paths:
          - path: /
            {path_type}
            backend: {{service: {{name: web, port: {{name: {port}}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{ports: [{{name: http, port: 80}}]}}
"
    )
}

#[test]
fn an_ingress_is_read_and_checked_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ingress.yaml");
    let analyze = |path: &Path, text: &str| {
        std::fs::write(&file, text).unwrap();
        weft_analyze(path)
    };
    let good = ingress("pathType: Prefix", "http");
    assert_eq!(analyze(&file, &good), (Some(0), "No findings.\n".to_owned()));
    let (code, said) = analyze(&file, &ingress("pathTyp: Prefix", "http"));
    assert_eq!(code, Some(1));
    let expected = ":12:13: error: Ingress default/web: spec.rules[0].http.paths[0].pathTyp: unknown field; did you mean `pathType`?";
    assert!(said.contains(expected), "{said}");
    // Whether others are there, only a directory tells.
    let (code, said) = analyze(directory.path(), &ingress("pathType: Prefix", "https"));
    assert_eq!(code, Some(0));
    assert_eq!(
        said,
        "ingress.yaml:1:1: warning: Ingress default/web: spec.rules[0].http.paths[0].backend.service.port: Service \
         default/web has no port \"https\", only 80 (http); requests for it are answered with 503\n"
    );
}
