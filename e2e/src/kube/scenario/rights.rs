//! What our own service accounts must not be able to do, and can not.

use anyhow::{Result, ensure};

use crate::kube::Kube;
use crate::kube::fixture::SHOP;

const ISTIOD: &str = "system:serviceaccount:istio-system:istiod";
const GATEWAY: &str = "system:serviceaccount:istio-ingress:istio-ingress";
/// Whatever stands beside a sidecar.
const MEMBER: &str = "system:serviceaccount:shop:default";

/// Who must not do what.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        ISTIOD,
        &[
            "create pods -n shop",
            "delete pods -n shop",
            "create pods --subresource=exec -n shop",
            "create secrets -n shop",
            "update secrets/any -n istio-system",
            "delete secrets/istio-ca-secret -n istio-system",
            "get configmaps/any -n shop",
            "list configmaps -n shop",
            "update configmaps/any -n shop",
            "patch services/web -n shop",
            "patch nodes/any",
            "patch virtualservices.networking.istio.io/any -n shop",
            "delete virtualservices.networking.istio.io/any -n shop",
            "patch mutatingwebhookconfigurations/any",
            "create serviceaccounts --subresource=token -n shop",
            "create clusterrolebindings",
            "impersonate users",
        ],
    ),
    (GATEWAY, &["get secrets/any -n istio-system", "create secrets -n istio-ingress", "list pods -n istio-ingress"]),
    (MEMBER, &["get secrets/any -n istio-system", "list secrets -n shop", "get configmaps/any -n istio-system"]),
];

pub(super) fn least(kube: &Kube) -> Result<String> {
    // Proof that questions are answered by what the charts gave.
    ensure!(may(kube, ISTIOD, "watch services -n shop")?, "istiod cannot see services");
    ensure!(may(kube, GATEWAY, "list secrets -n istio-ingress")?, "the gateway cannot see its own secrets");
    for (account, questions) in FORBIDDEN {
        for question in *questions {
            ensure!(!may(kube, account, question)?, "{account} can {question}");
        }
    }
    let asked: usize = FORBIDDEN.iter().map(|(_, questions)| questions.len()).sum();
    Ok(format!(
        "{} accounts were asked {asked} things that they must not, in {SHOP} and elsewhere, and can none",
        FORBIDDEN.len()
    ))
}

/// `kubectl auth can-i` fails to say no.
fn may(kube: &Kube, account: &str, question: &str) -> Result<bool> {
    match kube.kubectl(&format!("auth can-i {question} --as {account}")) {
        Ok(_) => Ok(true),
        Err(error) if format!("{error:#}").lines().any(|line| line.trim_end().ends_with("no")) => Ok(false),
        Err(error) => Err(error),
    }
}
