//! Reviews and what is answered to them.

use std::fmt;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What became of pods.
#[derive(Default)]
pub(crate) struct Tally {
    injected: usize,
    left_alone: usize,
    refused: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { injected, left_alone, refused } = self;
        write!(f, "{injected} injected, {left_alone} left alone, {refused} refused with a sentence")
    }
}

/// The review of a pod, as an API server has it.
pub(crate) fn review(pod: &Value, uid: u32) -> Vec<u8> {
    let review = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": uid.to_string(),
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": "shop", "operation": "CREATE",
            "userInfo": { "username": "system:serviceaccount:kube-system:replicaset-controller" },
            "object": pod, "oldObject": null, "dryRun": false,
        },
    });
    review.to_string().into_bytes()
}

/// Whether each pod was answered for, and how: a patch that applies, none, or a refusal that says why.
pub(crate) fn judge(pods: &[Value], answers: &[Vec<u8>]) -> Result<Tally> {
    let mut tally = Tally::default();
    for (uid, (pod, answer)) in pods.iter().zip(answers).enumerate() {
        one(pod, uid, answer, &mut tally).with_context(|| format!("pod {uid}: {pod}"))?;
    }
    Ok(tally)
}

fn one(pod: &Value, uid: usize, answer: &[u8], tally: &mut Tally) -> Result<()> {
    let answer: Value = serde_json::from_slice(answer)?;
    let response = &answer["response"];
    ensure!(response["uid"].as_str() == Some(&uid.to_string()), "it is the answer to {}", response["uid"]);
    if response["allowed"] != true {
        let message = response["status"]["message"].as_str().unwrap_or_default();
        ensure!(!message.is_empty(), "it is refused without a word");
        tally.refused += 1;
        return Ok(());
    }
    let Some(patch) = response["patch"].as_str() else {
        tally.left_alone += 1;
        return Ok(());
    };
    let patch: json_patch::Patch = serde_json::from_slice(&STANDARD.decode(patch)?)?;
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch).context("the patch does not apply")?;
    let lists = ["containers", "initContainers"].into_iter().filter_map(|list| pod["spec"][list].as_array());
    ensure!(lists.flatten().any(|one| one["name"] == "istio-proxy"), "it has no proxy");
    tally.injected += 1;
    Ok(())
}
